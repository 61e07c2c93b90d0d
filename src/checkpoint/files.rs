//! The files of a model: what they are called, which of them it needs, and whether they are there.

use std::path::Path;

use super::directory::{first_of, is_there, unusable};
use super::local_file::{self, check_directory, model_error};
use super::weight_files::WeightFiles;
#[cfg(feature = "hub")]
use super::weight_files::WeightFormat;
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
pub(crate) const MAX_SMALL_BYTES: u64 = 64 << 20;

/// Most bytes that `file` may have; none for weights.
#[cfg(feature = "hub")]
pub(crate) fn max_bytes(file: &str) -> Option<u64> {
    let is_weights = WeightFormat::ALL
        .iter()
        .any(|format| file.ends_with(format.ending()));
    (!is_weights).then_some(MAX_SMALL_BYTES)
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
pub(crate) fn refuse_adapter(directory: &Path) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use std::fs;

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
}
