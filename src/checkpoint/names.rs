//! The tensors of a BERT: their names as Hugging Face has them, the shape of each, the prefix under
//! which a checkpoint keeps them, and the older spelling of layer norms (`gamma`, `beta`, from
//! TensorFlow). Source: transformers, `modeling_bert.py`.

use std::collections::BTreeSet;

use super::Config;
use super::local_file::model_error;
use crate::error::Result;

/// The tensor that every BERT has and by which its prefix is found.
pub(super) const WORD_EMBEDDINGS: &str = "embeddings.word_embeddings.weight";

/// A size of [`Config`] that is also a dimension of a tensor.
#[derive(Debug, Clone, Copy)]
pub(super) enum Dimension {
    Vocab,
    Positions,
    Types,
    Hidden,
    Intermediate,
}

use Dimension::{Hidden, Intermediate, Positions, Types, Vocab};

impl Dimension {
    /// The key in `config.json`.
    pub(super) fn key(self) -> &'static str {
        match self {
            Vocab => "vocab_size",
            Positions => "max_position_embeddings",
            Types => "type_vocab_size",
            Hidden => "hidden_size",
            Intermediate => "intermediate_size",
        }
    }

    /// The size in `config`.
    pub(super) fn size(self, config: &Config) -> usize {
        match self {
            Vocab => config.vocab_size,
            Positions => config.max_position_embeddings,
            Types => config.type_vocab_size,
            Hidden => config.hidden_size,
            Intermediate => config.intermediate_size,
        }
    }
}

/// A tensor's name, without prefix, and its dimensions.
type Row = (&'static str, &'static [Dimension]);

/// The embeddings' tensors.
pub(super) const EMBEDDINGS: [Row; 5] = [
    (WORD_EMBEDDINGS, &[Vocab, Hidden]),
    (
        "embeddings.position_embeddings.weight",
        &[Positions, Hidden],
    ),
    ("embeddings.token_type_embeddings.weight", &[Types, Hidden]),
    ("embeddings.LayerNorm.weight", &[Hidden]),
    ("embeddings.LayerNorm.bias", &[Hidden]),
];

/// One layer's tensors, after `encoder.layer.N.`.
pub(super) const LAYER: [Row; 16] = [
    ("attention.self.query.weight", &[Hidden, Hidden]),
    ("attention.self.query.bias", &[Hidden]),
    ("attention.self.key.weight", &[Hidden, Hidden]),
    ("attention.self.key.bias", &[Hidden]),
    ("attention.self.value.weight", &[Hidden, Hidden]),
    ("attention.self.value.bias", &[Hidden]),
    ("attention.output.dense.weight", &[Hidden, Hidden]),
    ("attention.output.dense.bias", &[Hidden]),
    ("attention.output.LayerNorm.weight", &[Hidden]),
    ("attention.output.LayerNorm.bias", &[Hidden]),
    ("intermediate.dense.weight", &[Intermediate, Hidden]),
    ("intermediate.dense.bias", &[Intermediate]),
    ("output.dense.weight", &[Hidden, Intermediate]),
    ("output.dense.bias", &[Hidden]),
    ("output.LayerNorm.weight", &[Hidden]),
    ("output.LayerNorm.bias", &[Hidden]),
];

/// The pooler's tensors; a checkpoint has both or neither.
pub(super) const POOLER: [Row; 2] = [
    ("pooler.dense.weight", &[Hidden, Hidden]),
    ("pooler.dense.bias", &[Hidden]),
];

/// Last parts of prefixes that name a model whose tensors look like BERT's and mean other things.
const OTHER_MODELS: [&str; 5] = ["roberta", "electra", "ernie", "layoutlm", "camembert"];

/// What stands before `embeddings.word_embeddings.weight` in `names`: empty, `bert.` or another.
///
/// # Errors
/// There is no such name, there are several, or the prefix is that of another kind of model.
pub(super) fn prefix<'a>(names: impl Iterator<Item = &'a str>) -> Result<&'a str> {
    let prefixes: Vec<&str> = names
        .filter_map(|name| name.strip_suffix(WORD_EMBEDDINGS))
        .filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))
        .collect();
    match prefixes[..] {
        [] => Err(model_error(format!(
            "they hold no tensor `{WORD_EMBEDDINGS}`, with or without a prefix: this is no BERT"
        ))),
        [prefix] => check_prefix(prefix).map(|()| prefix),
        [first, second, ..] => Err(model_error(format!(
            "they hold {} models: `{first}{WORD_EMBEDDINGS}` and `{second}{WORD_EMBEDDINGS}`",
            prefixes.len()
        ))),
    }
}

fn check_prefix(prefix: &str) -> Result<()> {
    let last_part = prefix.trim_end_matches('.').rsplit('.').next();
    match last_part.filter(|part| OTHER_MODELS.contains(part)) {
        Some(other) => Err(model_error(format!(
            "they begin with `{prefix}`: this is a model of type {other}, not BERT"
        ))),
        None => Ok(()),
    }
}

/// The older spelling of a layer norm's tensor, none for every other tensor.
pub(super) fn older_spelling(name: &str) -> Option<String> {
    let older = |new: &str, old: &str| Some(format!("{}{old}", name.strip_suffix(new)?));
    older("LayerNorm.weight", "LayerNorm.gamma")
        .or_else(|| older("LayerNorm.bias", "LayerNorm.beta"))
}

/// How many different layers `names` tells of: the N in `<prefix>encoder.layer.N.`.
pub(super) fn count_layers<'a>(names: impl Iterator<Item = &'a str>, prefix: &str) -> usize {
    let layers: BTreeSet<&str> = names
        .filter_map(|name| name.strip_prefix(prefix)?.strip_prefix("encoder.layer."))
        .filter_map(|rest| Some(rest.split_once('.')?.0))
        .collect();
    layers.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_what_stands_before_the_word_embeddings() {
        for expected in ["", "bert.", "0.auto_model.", "model.bert."] {
            let name = format!("{expected}{WORD_EMBEDDINGS}");
            let names = ["cls.predictions.bias", &name, "embeddings.other"];
            assert_eq!(prefix(names.into_iter()).expect("one prefix"), expected);
        }
    }

    #[test]
    fn no_prefix_two_prefixes_and_other_models_are_refused_by_name() {
        let cases: [(&[&str], &str); 4] = [
            (&["lm_head.weight"], "this is no BERT"),
            (&["unembeddings.word_embeddings.weight"], "this is no BERT"),
            (
                &[
                    "a.embeddings.word_embeddings.weight",
                    "b.embeddings.word_embeddings.weight",
                ],
                "2 models: `a.embeddings",
            ),
            (
                &["roberta.embeddings.word_embeddings.weight"],
                "type roberta",
            ),
        ];
        for (names, words) in cases {
            let message = prefix(names.iter().copied()).expect_err(words).to_string();
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn only_layer_norms_have_an_older_spelling() {
        assert_eq!(
            older_spelling("output.LayerNorm.bias").as_deref(),
            Some("output.LayerNorm.beta")
        );
        assert_eq!(
            older_spelling("embeddings.LayerNorm.weight").as_deref(),
            Some("embeddings.LayerNorm.gamma")
        );
        assert_eq!(older_spelling("output.dense.bias"), None);
    }

    #[test]
    fn layers_are_counted_under_the_prefix_alone() {
        let names = [
            "bert.encoder.layer.0.output.dense.bias",
            "bert.encoder.layer.1.output.dense.bias",
            "bert.encoder.layer.1.output.dense.weight",
            "other.encoder.layer.2.output.dense.bias",
        ];
        assert_eq!(count_layers(names.into_iter(), "bert."), 2);
    }
}
