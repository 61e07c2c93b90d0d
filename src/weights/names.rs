//! The tensors of a model: their names and shapes as Hugging Face has them, the prefix that a
//! checkpoint puts before the names, and the older spelling of layer norms (`gamma`, `beta`, from
//! TensorFlow).
//!
//! This is the only list of names: the model is loaded by it, and a checkpoint is checked against
//! it. Another model type is another set of these tables. Source: transformers, `modeling_bert.py`.

use std::collections::BTreeSet;

use anyhow::{Result, anyhow, bail};

use crate::checkpoint::Config;

/// A size of [`Config`] that is also a dimension of a tensor.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ConfigSize {
    Vocab,
    Positions,
    Types,
    Hidden,
    Intermediate,
}

use ConfigSize::{Hidden, Intermediate, Positions, Types, Vocab};

impl ConfigSize {
    /// Its key in `config.json`.
    pub(super) fn key(self, config: &Config) -> &'static str {
        let keys = config.model_type.keys();
        match self {
            Vocab => keys.vocab_size.0,
            Positions => keys.max_position_embeddings.0,
            Types => keys.type_vocab_size.0,
            Hidden => keys.hidden_size.0,
            Intermediate => keys.intermediate_size.0,
        }
    }

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

/// The tensors of one module: a weight, and for all but embeddings a bias.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ModuleTensors {
    /// The name without `.weight` or `.bias`; in a layer, without [`layer_prefix`] too.
    pub(crate) name: &'static str,
    /// The weight's dimensions; the bias has the first one.
    dimensions: &'static [ConfigSize],
    has_bias: bool,
}

impl ModuleTensors {
    /// The weight's shape in a model of `config`.
    pub(crate) fn shape(&self, config: &Config) -> Vec<usize> {
        let dimensions = self.dimensions.iter();
        dimensions.map(|dimension| dimension.size(config)).collect()
    }

    pub(super) fn tensors(self, prefix: &str) -> Vec<NamedTensor> {
        let name = self.name;
        let mut tensors = vec![(format!("{prefix}{name}.weight"), self.dimensions)];
        if self.has_bias {
            tensors.push((format!("{prefix}{name}.bias"), &self.dimensions[..1]));
        }
        tensors
    }
}

/// A tensor's name, without the checkpoint's prefix, and its dimensions.
pub(super) type NamedTensor = (String, &'static [ConfigSize]);

/// The tensor that every model has, by which the prefix is found.
const WORD_EMBEDDINGS_WEIGHT: &str = "embeddings.word_embeddings.weight";

/// Defines the modules of a part of the model, and the list of them.
macro_rules! modules {
    ($list:ident: $($constant:ident = $name:literal $dimensions:expr, bias: $bias:literal;)*) => {
        $(
            #[doc = concat!("`", $name, "`")]
            pub(crate) const $constant: ModuleTensors = ModuleTensors {
                name: $name,
                dimensions: &$dimensions,
                has_bias: $bias,
            };
        )*
        const $list: &[ModuleTensors] = &[$($constant),*];
    };
}

modules! { EMBEDDINGS:
    WORD_EMBEDDINGS = "embeddings.word_embeddings" [Vocab, Hidden], bias: false;
    POSITION_EMBEDDINGS = "embeddings.position_embeddings" [Positions, Hidden], bias: false;
    TOKEN_TYPE_EMBEDDINGS = "embeddings.token_type_embeddings" [Types, Hidden], bias: false;
    EMBEDDINGS_NORM = "embeddings.LayerNorm" [Hidden], bias: true;
}

modules! { LAYER:
    QUERY = "attention.self.query" [Hidden, Hidden], bias: true;
    KEY = "attention.self.key" [Hidden, Hidden], bias: true;
    VALUE = "attention.self.value" [Hidden, Hidden], bias: true;
    ATTENTION_OUTPUT = "attention.output.dense" [Hidden, Hidden], bias: true;
    ATTENTION_NORM = "attention.output.LayerNorm" [Hidden], bias: true;
    INTERMEDIATE = "intermediate.dense" [Intermediate, Hidden], bias: true;
    OUTPUT = "output.dense" [Hidden, Intermediate], bias: true;
    OUTPUT_NORM = "output.LayerNorm" [Hidden], bias: true;
}

/// `pooler.dense`
pub(crate) const POOLER: ModuleTensors = ModuleTensors {
    name: "pooler.dense",
    dimensions: &[Hidden, Hidden],
    has_bias: true,
};

/// The prefix of the names of a layer's modules.
pub(crate) fn layer_prefix(layer: usize) -> String {
    format!("encoder.layer.{layer}.")
}

/// The tensors of the embeddings and of `layers` layers.
pub(super) fn encoder(layers: usize) -> Vec<NamedTensor> {
    let embeddings = EMBEDDINGS.iter().flat_map(|module| module.tensors(""));
    let layers = (0..layers).flat_map(|layer| {
        let prefix = layer_prefix(layer);
        let modules = LAYER.iter();
        modules.map(move |module| module.tensors(&prefix))
    });
    embeddings.chain(layers.flatten()).collect()
}

/// Prefixes of models whose tensors are named as BERT's but mean something else.
const OTHER_MODELS: [&str; 5] = ["roberta", "electra", "ernie", "layoutlm", "camembert"];

/// The prefix of `embeddings.word_embeddings.weight` in `names`: empty, `bert.` or another.
///
/// # Errors
/// There is no such name, there are several, the prefix belongs to another type of model, or there
/// is an adapter.
pub(super) fn prefix<'a>(names: impl Iterator<Item = &'a str>) -> Result<&'a str> {
    let names: Vec<&str> = names.collect();
    if let Some(name) = names.iter().find(|name| name.contains(".lora_")) {
        bail!(
            "they hold `{name}` of an adapter (LoRA), which would change the vectors \
             and is not read"
        );
    }
    let prefixes: Vec<&str> = names
        .into_iter()
        .filter_map(|name| name.strip_suffix(WORD_EMBEDDINGS_WEIGHT))
        .filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))
        .collect();
    match prefixes[..] {
        [] => bail!(
            "they hold no tensor `{WORD_EMBEDDINGS_WEIGHT}`, with or without a prefix: \
             this is not BERT"
        ),
        [prefix] => check_prefix(prefix).map(|()| prefix),
        [first, second, ..] => bail!(
            "they hold {} models: `{first}{WORD_EMBEDDINGS_WEIGHT}` \
             and `{second}{WORD_EMBEDDINGS_WEIGHT}`",
            prefixes.len()
        ),
    }
}

fn check_prefix(prefix: &str) -> Result<()> {
    let last_part = prefix.trim_end_matches('.').rsplit('.').next();
    match last_part.filter(|part| OTHER_MODELS.contains(part)) {
        Some(other) => Err(anyhow!(
            "they begin with `{prefix}`: this is a model of type {other}, not BERT"
        )),
        None => Ok(()),
    }
}

/// The older spelling of a layer norm's tensor; `None` for any other tensor.
pub(super) fn older_spelling(name: &str) -> Option<String> {
    let older = |new: &str, old: &str| Some(format!("{}{old}", name.strip_suffix(new)?));
    older("LayerNorm.weight", "LayerNorm.gamma")
        .or_else(|| older("LayerNorm.bias", "LayerNorm.beta"))
}

/// The number of different layers in `names`: N in `<prefix>encoder.layer.N.`.
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
    fn the_prefix_precedes_the_word_embeddings() {
        for expected in ["", "bert.", "0.auto_model.", "model.bert."] {
            let name = format!("{expected}{WORD_EMBEDDINGS_WEIGHT}");
            let names = ["cls.predictions.bias", &name, "embeddings.other"];
            assert_eq!(prefix(names.into_iter()).expect("one prefix"), expected);
        }
    }

    #[test]
    fn no_prefix_two_prefixes_and_other_models_are_refused_by_name() {
        let cases: [(&[&str], &str); 4] = [
            (&["lm_head.weight"], "this is not BERT"),
            (&["unembeddings.word_embeddings.weight"], "this is not BERT"),
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
    fn layers_are_counted_under_the_prefix_only() {
        let names = [
            "bert.encoder.layer.0.output.dense.bias",
            "bert.encoder.layer.1.output.dense.bias",
            "bert.encoder.layer.1.output.dense.weight",
            "other.encoder.layer.2.output.dense.bias",
        ];
        assert_eq!(count_layers(names.into_iter(), "bert."), 2);
    }
}
