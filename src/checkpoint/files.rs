//! The judge of a model directory: which files a model needs, whether they are there, and the words
//! for what is missing or cannot be used.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;

use super::json::{UniqueKeys, shortened};
use super::local_file::{self, check_directory, model_error};
use crate::error::{Error, Result};

pub(crate) const CONFIG: &str = "config.json";
pub(crate) const TOKENIZER: &str = "tokenizer.json";
/// Used if there is no `tokenizer.json`.
pub(crate) const VOCABULARY: &str = "vocab.txt";
/// Read if they are there; a model is complete without them.
pub(crate) const OPTIONAL: [&str; 6] = [
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    MODULES,
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
];
/// The modules of sentence-transformers.
pub(crate) const MODULES: &str = "modules.json";
/// An adapter beside the weights, which PEFT adds to them.
pub(crate) const ADAPTER: &str = "adapter_config.json";

/// Most bytes of a file that holds no weights: BERT's multilingual `tokenizer.json` has 2 MB.
pub(super) const MAX_SMALL_BYTES: u64 = 64 << 20;

/// Most bytes that `file` may have; none for weights.
#[cfg(feature = "hub")]
pub(crate) fn max_bytes(file: &str) -> Option<u64> {
    let is_weights = WeightFormat::ALL
        .iter()
        .any(|format| file.ends_with(format.ending()));
    (!is_weights).then_some(MAX_SMALL_BYTES)
}

/// Most bytes of an index: one of BERT large has 40 KB, one of 1,000 shards about 10 MB.
const MAX_INDEX_BYTES: u64 = 16 << 20;

/// Endings of weights that are not read.
const OTHER_WEIGHTS: [&str; 7] = [".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx"];

/// Beginnings of the names of files that training leaves behind; they hold no weights.
const TRAINING_LEFTOVERS: [&str; 4] = ["training_args", "optimizer", "scheduler", "rng_state"];

/// How weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightFormat {
    /// A header and the tensors.
    Safetensors,
    /// What `torch.save` writes: a pickle and the tensors.
    Pytorch,
}

impl WeightFormat {
    /// In the order in which transformers looks for them.
    pub(crate) const ALL: [Self; 2] = [Self::Safetensors, Self::Pytorch];

    /// The file that holds all tensors.
    pub(crate) fn whole(self) -> &'static str {
        match self {
            Self::Safetensors => "model.safetensors",
            Self::Pytorch => "pytorch_model.bin",
        }
    }

    /// The file that names the shards, used if there is no whole file.
    pub(crate) fn index(self) -> &'static str {
        match self {
            Self::Safetensors => "model.safetensors.index.json",
            Self::Pytorch => "pytorch_model.bin.index.json",
        }
    }

    /// The ending of a shard's name.
    fn ending(self) -> &'static str {
        match self {
            Self::Safetensors => ".safetensors",
            Self::Pytorch => ".bin",
        }
    }
}

/// The names of the model's files in `directory`, each of them a regular file that can be opened.
/// Without `weights`, weights are not looked for.
///
/// # Errors
/// [`Kind::Model`](crate::error::Kind::Model): a file is missing or cannot be used.
pub(crate) fn model_files(directory: &Path, weights: bool) -> Result<Vec<String>> {
    refuse_adapter(directory)?;
    let mut files = vec![
        first_of(directory, &[CONFIG])?.to_owned(),
        first_of(directory, &[TOKENIZER, VOCABULARY])?.to_owned(),
    ];
    let optional = OPTIONAL.iter().filter(|file| is_there(directory, file));
    files.extend(optional.map(|file| (*file).to_owned()));
    if weights {
        let (format, weights) = WeightFiles::find(directory)?;
        files.extend(weights.names(format));
    }
    for file in &files {
        let path = directory.join(file);
        local_file::open(&path).map_err(|error| unusable(&path, error))?;
    }
    Ok(files)
}

/// Refuses a model with an adapter: its weights alone are not the model.
///
/// # Errors
/// There is one, or `directory` cannot be read.
pub(super) fn refuse_adapter(directory: &Path) -> Result<()> {
    check_directory(directory)?;
    if is_there(directory, ADAPTER) {
        return Err(unusable(directory, has_adapter()));
    }
    Ok(())
}

/// The refusal of a model with an adapter.
pub(crate) fn has_adapter() -> Error {
    model_error(format!(
        "it has an adapter (`{ADAPTER}`), which would change the numbers and is not read"
    ))
    .with_tip("merge the adapter into the weights first: merge_and_unload() of PEFT")
}

/// Reads `file` of the model in `directory`, which may hold at most `max_bytes`.
///
/// # Errors
/// As [`model_files`]; also if the file is larger or not what its name says.
pub(super) fn read(directory: &Path, file: &str, max_bytes: u64) -> Result<Vec<u8>> {
    first_of(directory, &[file])?;
    let path = directory.join(file);
    local_file::read(&path, max_bytes).map_err(|error| unusable(&path, error))
}

/// The content of `file` in `directory`, which may hold at most `max_bytes`; none if it is not
/// there.
///
/// # Errors
/// As [`model_files`]; also if the file is larger or not what its name says.
pub(crate) fn read_if_there(
    directory: &Path,
    file: &str,
    max_bytes: u64,
) -> Result<Option<Vec<u8>>> {
    if !is_there(directory, file) {
        return Ok(None);
    }
    let path = directory.join(file);
    // A vocabulary may begin with `<s>`, as a web page does, or with a byte order mark.
    let content = match file {
        VOCABULARY => local_file::read_any(&path, max_bytes),
        _ => local_file::read(&path, max_bytes),
    };
    content.map(Some).map_err(|error| unusable(&path, error))
}

/// `error` as the reason why the file at `path` cannot be used.
pub(super) fn unusable(path: &Path, error: Error) -> Error {
    error.context(format!("could not use `{}`", path.display()))
}

/// The files that hold the weights.
pub(crate) enum WeightFiles {
    /// All tensors in one file.
    Whole,
    /// The file that holds each tensor, as an index says.
    Sharded(BTreeMap<String, String>),
}

impl WeightFiles {
    /// The weights in `directory`, chosen in the order of transformers. The shards themselves are
    /// not looked for.
    ///
    /// # Errors
    /// [`Kind::Model`](crate::error::Kind::Model): there are none, or their index cannot be used.
    pub(crate) fn find(directory: &Path) -> Result<(WeightFormat, Self)> {
        check_directory(directory)?;
        for format in WeightFormat::ALL {
            if is_there(directory, format.whole()) {
                return Ok((format, Self::Whole));
            }
            if is_there(directory, format.index()) {
                let weight_map = read_index(directory, format)?;
                return Ok((format, Self::Sharded(weight_map)));
            }
        }
        Err(no_weights(directory))
    }

    /// The names of the files, including the index.
    pub(super) fn names(self, format: WeightFormat) -> BTreeSet<String> {
        match self {
            Self::Whole => BTreeSet::from([format.whole().to_owned()]),
            Self::Sharded(weight_map) => {
                let index = std::iter::once(format.index().to_owned());
                weight_map.into_values().chain(index).collect()
            }
        }
    }
}

/// An index of shards; its other key, `metadata`, is not needed.
#[derive(Deserialize)]
struct ShardIndex {
    weight_map: UniqueKeys<String>,
}

/// The file that holds each tensor, as the index of `format` in `directory` says.
///
/// # Errors
/// The index cannot be used, or names a file that is not a shard beside it.
pub(crate) fn read_index(
    directory: &Path,
    format: WeightFormat,
) -> Result<BTreeMap<String, String>> {
    let file = format.index();
    let content = read(directory, file, MAX_INDEX_BYTES)?;
    let index = serde_json::from_slice(&content)
        .map_err(|cause| model_error(format!("it is no index of shards: {cause}")));
    index
        .and_then(|index: ShardIndex| {
            let UniqueKeys(weight_map) = index.weight_map;
            weight_map
                .values()
                .try_for_each(|shard| check_shard(shard, format.ending()))?;
            Ok(weight_map)
        })
        .map_err(|error| unusable(&directory.join(file), error))
}

/// Refuses a shard that is not a plain file name: an index must not reach out of its directory.
fn check_shard(name: &str, ending: &str) -> Result<()> {
    let plain =
        name.ends_with(ending) && !name.starts_with('-') && !name.contains("..") && is_inside(name);
    if plain {
        return Ok(());
    }
    Err(model_error(format!(
        "the file name `{}` is not allowed, only names of `{ending}` files beside it are",
        shortened(name)
    )))
}

/// Whether `name`, which a file gives, is one inside the directory of the file.
pub(super) fn is_inside(name: &str) -> bool {
    !name.starts_with('.')
        && !name.contains(['/', '\\', ':', '%'])
        && !name.contains(char::is_control)
}

/// The first of `files` that is in `directory`. A link that leads nowhere counts as there: opening
/// it gives the better error.
fn first_of<'a>(directory: &Path, files: &[&'a str]) -> Result<&'a str> {
    check_directory(directory)?;
    let found = files.iter().find(|file| is_there(directory, file));
    found.copied().ok_or_else(|| {
        let substitutes = files[1..].iter().map(|file| format!(" (or `{file}`)"));
        let wanted = format!("`{}`{}", files[0], substitutes.collect::<String>());
        missing(directory, &wanted, model_error(holdings(directory)))
    })
}

/// Whether `directory` has an entry `file`. If the system could not look, it counts as there, and
/// opening it tells why.
pub(super) fn is_there(directory: &Path, file: impl AsRef<Path>) -> bool {
    let found = directory.join(file).symlink_metadata();
    !found.is_err_and(|cause| cause.kind() == ErrorKind::NotFound)
}

/// The error of a directory without weights that this program reads.
fn no_weights(directory: &Path) -> Error {
    let is_other = |name: &String| {
        let is_leftover = TRAINING_LEFTOVERS
            .iter()
            .any(|start| name.starts_with(start));
        !is_leftover && OTHER_WEIGHTS.iter().any(|ending| name.ends_with(ending))
    };
    let cause = match names(directory).into_iter().find(is_other) {
        Some(name) => only_other_weights(&name),
        None => model_error(holdings(directory)),
    };
    missing(
        directory,
        "`model.safetensors` and no `pytorch_model.bin`",
        cause,
    )
}

fn only_other_weights(name: &str) -> Error {
    let error = model_error(format!(
        "there is only `{name}`, and only safetensors and PyTorch's state dicts are read"
    ));
    let may_be_state_dict = [".bin", ".pt", ".pth"];
    if may_be_state_dict
        .iter()
        .any(|ending| name.ends_with(ending))
    {
        return error.with_tip(format!(
            "if it is a state dict of this model: mv {name} pytorch_model.bin"
        ));
    }
    error
}

fn missing(directory: &Path, wanted: &str, cause: Error) -> Error {
    cause.context(format!("there is no {wanted} in `{}`", directory.display()))
}

/// The names in `directory`, sorted; at most 1,000 of them.
fn names(directory: &Path) -> Vec<String> {
    // They only add to the message of another error.
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .take(1_000)
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    names.sort();
    names
}

/// What `directory` holds, for a message: at most eight names.
fn holdings(directory: &Path) -> String {
    const SHOWN: usize = 8;
    let names = names(directory);
    let listed: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{name}`"))
        .collect();
    match names.len().saturating_sub(SHOWN) {
        _ if names.is_empty() => "the directory is empty".to_owned(),
        0 => format!("the directory holds {}", listed.join(", ")),
        more => format!("the directory holds {} and {more} more", listed.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong with a directory that holds `files`.
    fn trouble(files: &[(&str, &str)], weights: bool) -> Option<String> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for (name, text) in files {
            fs::write(directory.path().join(name), text).expect("a file");
        }
        let place = directory.path().display().to_string();
        model_files(directory.path(), weights)
            .err()
            .map(|error| error.to_string().replace(&place, "DIR"))
    }

    #[test]
    fn a_vocabulary_stands_for_a_tokenizer_and_an_index_for_the_weights() {
        let index = r#"{"weight_map":{"a":"model-1.safetensors","b":"model-1.safetensors"}}"#;
        let mut files = vec![
            (CONFIG, ""),
            (VOCABULARY, ""),
            ("model.safetensors.index.json", index),
        ];
        assert_eq!(
            trouble(&files, true).as_deref(),
            Some("could not use `DIR/model-1.safetensors`: it does not exist")
        );
        files.push(("model-1.safetensors", ""));
        assert_eq!(trouble(&files, true), None);
    }

    #[test]
    fn what_is_missing_is_named() {
        let expected = "there is no `config.json` in `DIR`: the directory is empty";
        assert_eq!(trouble(&[], true).as_deref(), Some(expected));
        let mut files = vec![(CONFIG, "")];
        let expected = "there is no `tokenizer.json` (or `vocab.txt`) in `DIR`: \
                        the directory holds `config.json`";
        assert_eq!(trouble(&files, true).as_deref(), Some(expected));
        files.push((TOKENIZER, ""));
        assert_eq!(trouble(&files, false), None);
        let expected = "there is no `model.safetensors` and no `pytorch_model.bin` in `DIR`: \
                        the directory holds `config.json`, `tokenizer.json`";
        assert_eq!(trouble(&files, true).as_deref(), Some(expected));
    }

    #[test]
    fn a_shard_stays_in_its_directory() {
        assert!(check_shard("model-00001-of-00002.safetensors", ".safetensors").is_ok());
        for name in [
            "../x.safetensors",
            "/x.safetensors",
            "a/x.safetensors",
            "x.bin",
            ".safetensors",
        ] {
            assert!(check_shard(name, ".safetensors").is_err(), "{name}");
        }
    }
}
