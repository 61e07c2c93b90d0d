//! The files of a model: their names, and which of them it needs.

use std::path::Path;

pub(crate) use super::directory::VOCABULARY;
use super::directory::{check_directory, could_not_use, find, has, model_error, open};
use super::weight_files::WeightFiles;
#[cfg(feature = "hub")]
use super::weight_files::WeightFormat;
use crate::error::{Error, Result};

pub(crate) const CONFIG: &str = "config.json";
pub(crate) const TOKENIZER: &str = "tokenizer.json";
/// With [`MERGES`] the vocabulary of byte-level BPE.
pub(crate) const VOCAB_JSON: &str = "vocab.json";
pub(crate) const MERGES: &str = "merges.txt";
/// Names of a `SentencePiece` model, which is not read.
const SENTENCEPIECE: [&str; 2] = ["sentencepiece.bpe.model", "spiece.model"];
/// Read if they exist; a model is complete without them.
pub(crate) const OPTIONAL: [&str; 6] = [
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    MODULES,
    SENTENCE_CONFIG,
    "config_sentence_transformers.json",
];
/// What sentence-transformers says about the encoder.
pub(crate) const SENTENCE_CONFIG: &str = "sentence_bert_config.json";
/// Other names of [`SENTENCE_CONFIG`], from releases that named it after the model.
pub(crate) const SENTENCE_CONFIGS: [&str; 5] = [
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
];
pub(crate) const MODULES: &str = "modules.json";
/// The configuration of an adapter, whose weights PEFT adds to the model's.
pub(crate) const ADAPTER: &str = "adapter_config.json";

/// The size limit of a file without weights: BERT's multilingual `tokenizer.json` has 2 MB.
pub(crate) const MAX_SMALL_BYTES: u64 = 64 << 20;

/// The size limit of `file`; `None` for weights.
#[cfg(feature = "hub")]
pub(crate) fn max_bytes(file: &str) -> Option<u64> {
    let is_weights = WeightFormat::ALL
        .iter()
        .any(|format| file.ends_with(format.ending()));
    (!is_weights).then_some(MAX_SMALL_BYTES)
}

/// The names of the model's files in `directory`, each a regular file that can be opened; the
/// weight files only if `weights` is true.
///
/// # Errors
/// [`Kind::Model`](crate::error::Kind::Model): a file is missing or cannot be used.
pub(crate) fn model_files(directory: &Path, weights: bool) -> Result<Vec<String>> {
    refuse_adapter(directory)?;
    let mut files = vec![find(directory, &[CONFIG])?.to_owned()];
    let vocabulary = vocabulary_files(directory)?;
    files.extend(vocabulary.iter().map(|file| (*file).to_owned()));
    let optional = OPTIONAL.iter().chain(&SENTENCE_CONFIGS);
    let optional = optional.filter(|file| has(directory, file));
    files.extend(optional.map(|file| (*file).to_owned()));
    if weights {
        let (format, weights) = WeightFiles::find(directory)?;
        files.extend(weights.names(format));
    }
    for file in &files {
        let path = directory.join(file);
        open(&path).map_err(|error| error.context(could_not_use(&path)))?;
    }
    Ok(files)
}

/// The files of the tokenizer's vocabulary.
fn vocabulary_files(directory: &Path) -> Result<&[&'static str]> {
    for files in [&[TOKENIZER][..], &[VOCABULARY], &[VOCAB_JSON, MERGES]] {
        if has(directory, files[0]) {
            return Ok(files);
        }
    }
    for file in SENTENCEPIECE {
        refuse_sentencepiece(directory, file)?;
    }
    find(directory, &[TOKENIZER, VOCABULARY]).map(|_| &[][..])
}

/// Refuses a model whose vocabulary is only in the `SentencePiece` model `file`.
pub(crate) fn refuse_sentencepiece(directory: &Path, file: &str) -> Result<()> {
    if !has(directory, file) {
        return Ok(());
    }
    let cause = format!("it has `{file}`, which is not read, but no `{TOKENIZER}`");
    let place = directory.display();
    Err(model_error(cause)
        .context(format!("could not read the tokenizer of `{place}`"))
        .with_tip(format!(
            "python -c \"from transformers import AutoTokenizer as A; \
             A.from_pretrained('{place}').save_pretrained('{place}')\" writes it"
        )))
}

/// Refuses a model with an adapter: its weights alone are not the model.
pub(crate) fn refuse_adapter(directory: &Path) -> Result<()> {
    check_directory(directory)?;
    if has(directory, ADAPTER) {
        return Err(has_adapter().context(could_not_use(directory)));
    }
    Ok(())
}

pub(crate) fn has_adapter() -> Error {
    model_error(format!(
        "it has an adapter (`{ADAPTER}`), which would change the vectors and is not read"
    ))
    .with_tip("merge the adapter into the weights first: merge_and_unload() of PEFT")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The error of a directory that holds `files`.
    fn error(files: &[(&str, &str)], weights: bool) -> Option<String> {
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
    fn a_vocabulary_replaces_a_tokenizer_and_an_index_the_weights() {
        let index = r#"{"weight_map":{"a":"model-1.safetensors","b":"model-1.safetensors"}}"#;
        let mut files = vec![
            (CONFIG, ""),
            (VOCABULARY, ""),
            ("model.safetensors.index.json", index),
        ];
        assert_eq!(
            error(&files, true).as_deref(),
            Some("could not use `DIR/model-1.safetensors`: it does not exist")
        );
        files.push(("model-1.safetensors", ""));
        assert_eq!(error(&files, true), None);
    }

    #[test]
    fn a_missing_file_is_named() {
        let expected = "there is no `config.json` in `DIR`: the directory is empty";
        assert_eq!(error(&[], true).as_deref(), Some(expected));
        let mut files = vec![(CONFIG, "")];
        let expected = "there is no `tokenizer.json` (or `vocab.txt`) in `DIR`: \
                        the directory holds `config.json`";
        assert_eq!(error(&files, true).as_deref(), Some(expected));
        files.push((TOKENIZER, ""));
        assert_eq!(error(&files, false), None);
        let expected = "there is no `model.safetensors` and no `pytorch_model.bin` in `DIR`: \
                        the directory holds `config.json`, `tokenizer.json`";
        assert_eq!(error(&files, true).as_deref(), Some(expected));
    }
}
