//! Which files make a model, and whether a directory has them.
//!
//! Owns their names and what may stand for what. Leaves what is in them to others, but for the
//! names of the shards in `model.safetensors.index.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;

pub(crate) const CONFIG: &str = "config.json";
pub(crate) const TOKENIZER: &str = "tokenizer.json";
/// Stands for a missing `tokenizer.json`.
pub(crate) const VOCABULARY: &str = "vocab.txt";
/// Read where they are there; a model is complete without them.
pub(crate) const OPTIONAL: [&str; 2] = ["tokenizer_config.json", "special_tokens_map.json"];
pub(crate) const WEIGHTS: &str = "model.safetensors";
/// Stands, with the shards that it names, for a missing `model.safetensors`.
pub(crate) const INDEX: &str = "model.safetensors.index.json";
/// Weights as a Python pickle, which runs code when it is read: known in order to be refused.
pub(crate) const PICKLE: &str = "pytorch_model.bin";

/// An index of 1,000 shards has some 10 MB; nothing larger is read into memory.
const MAX_INDEX_BYTES: u64 = 16 << 20;

/// Why a directory is not a model that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lack {
    /// Something is not there, and something else may stand for it.
    Missing(String),
    /// Something is there that must not be used.
    Unusable(String),
}

impl fmt::Display for Lack {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(what) => write!(formatter, "{what} is missing"),
            Self::Unusable(why) => formatter.write_str(why),
        }
    }
}

/// The files of the model in `directory` that are there, each accepted by `check`; without
/// `weights` neither weights nor index are looked for.
pub(crate) fn complete(
    directory: &Path,
    weights: bool,
    check: impl Fn(&Path) -> Result<(), Lack>,
) -> Result<Vec<String>, Lack> {
    let check = |file: &str| check(&directory.join(file)).map(|()| file.to_owned());
    let mut files = vec![check(CONFIG)?];
    files.push(first_of(TOKENIZER, VOCABULARY, check)?);
    for file in OPTIONAL {
        match check(file) {
            Ok(file) => files.push(file),
            Err(Lack::Missing(_)) => {}
            Err(unusable) => return Err(unusable),
        }
    }
    if weights {
        let first = first_of(WEIGHTS, INDEX, check)?;
        if first == INDEX {
            for shard in shards(&directory.join(INDEX))? {
                files.push(check(&shard)?);
            }
        }
        files.push(first);
    }
    Ok(files)
}

/// `file`, or where it is missing `substitute`.
fn first_of(
    file: &str,
    substitute: &str,
    check: impl Fn(&str) -> Result<String, Lack>,
) -> Result<String, Lack> {
    match check(file) {
        Err(Lack::Missing(_)) => check(substitute).map_err(|lack| match lack {
            Lack::Missing(_) => Lack::Missing(format!("`{file}` (or `{substitute}`)")),
            unusable @ Lack::Unusable(_) => unusable,
        }),
        found => found,
    }
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The files that hold the tensors, as the index at `path` names them.
pub(crate) fn shards(path: &Path) -> Result<BTreeSet<String>, Lack> {
    let unusable = |why: String| Lack::Unusable(format!("`{INDEX}` {why}"));
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_INDEX_BYTES).read_to_string(&mut text))
        .map_err(|error| unusable(format!("cannot be read: {error}")))?;
    let index: Index =
        serde_json::from_str(&text).map_err(|error| unusable(format!("is no index: {error}")))?;
    let shards: BTreeSet<String> = index.weight_map.into_values().collect();
    if shards.is_empty() {
        return Err(unusable("names no file".to_owned()));
    }
    match shards.iter().find(|shard| !is_shard(shard)) {
        Some(shard) => Err(unusable(format!(
            "names `{shard}`, which is no file beside it"
        ))),
        None => Ok(shards),
    }
}

/// Whether `name` is a safetensors file in the same directory, and no way out of it.
fn is_shard(name: &str) -> bool {
    name.ends_with(".safetensors")
        && !name.starts_with(['.', '-'])
        && !name.contains(['/', '\\', ':', '%'])
        && !name.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).expect("a file");
        }
        directory
    }

    fn there(path: &Path) -> Result<(), Lack> {
        let name = path.file_name().map(|name| name.display().to_string());
        path.is_file()
            .then_some(())
            .ok_or_else(|| Lack::Missing(format!("`{}`", name.unwrap_or_default())))
    }

    fn lack(files: &[(&str, &str)], weights: bool) -> Option<String> {
        let directory = directory(files);
        complete(directory.path(), weights, there)
            .err()
            .map(|lack| lack.to_string())
    }

    #[test]
    fn a_vocabulary_stands_for_a_tokenizer_and_an_index_for_the_weights() {
        let index = r#"{"weight_map":{"a":"model-1.safetensors","b":"model-1.safetensors"}}"#;
        let mut files = vec![(CONFIG, ""), (VOCABULARY, ""), (INDEX, index)];
        assert_eq!(
            lack(&files, true).as_deref(),
            Some("`model-1.safetensors` is missing")
        );
        files.push(("model-1.safetensors", ""));
        assert_eq!(lack(&files, true), None);
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(lack(&[], true).as_deref(), Some("`config.json` is missing"));
        let mut files = vec![(CONFIG, "")];
        let expected = "`tokenizer.json` (or `vocab.txt`) is missing";
        assert_eq!(lack(&files, true).as_deref(), Some(expected));
        files.push((TOKENIZER, ""));
        assert_eq!(lack(&files, false), None);
        let expected = "`model.safetensors` (or `model.safetensors.index.json`) is missing";
        assert_eq!(lack(&files, true).as_deref(), Some(expected));
    }

    #[test]
    fn a_shard_stays_in_its_directory() {
        assert!(is_shard("model-00001-of-00002.safetensors"));
        for name in [
            "../x.safetensors",
            "/x.safetensors",
            "a/x.safetensors",
            "x.bin",
            ".safetensors",
        ] {
            assert!(!is_shard(name), "{name}");
        }
    }
}
