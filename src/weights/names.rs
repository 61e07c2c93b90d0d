//! The tensors of a model: their names and shapes as Hugging Face has them, and the older spelling
//! of layer norms (`gamma`, `beta`, from TensorFlow).
//!
//! This is the only list of tensors: the model is loaded by it, and a checkpoint is checked against
//! it. It has BERT's names; `checkpoint/model_facts.rs` has those in which another type
//! differs. Source: transformers, `modeling_….py`.

use std::collections::BTreeSet;

use crate::checkpoint::{Config, ModelType};

/// A size of [`Config`] that is also a dimension of a tensor.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ConfigSize {
    Vocab,
    Embedding,
    /// The width of the embeddings, if they are projected.
    Projected,
    Positions,
    Types,
    TaskTypes,
    Buckets,
    Heads,
    Hidden,
    Intermediate,
}

use ConfigSize::{
    Buckets, Embedding, Heads, Hidden, Intermediate, Positions, Projected, TaskTypes, Types, Vocab,
};

impl ConfigSize {
    /// Its key in `config.json`.
    pub(super) fn key(self, config: &Config) -> &'static str {
        let keys = config.model_type.keys();
        let key = match self {
            Vocab => Some(keys.vocab_size),
            Embedding | Projected => keys.embedding_size,
            Positions => Some(keys.max_position_embeddings),
            Types => keys.type_vocab_size,
            TaskTypes => keys.task_type_vocab_size,
            Buckets => keys.relative_attention_num_buckets,
            Heads => Some(keys.num_attention_heads),
            Hidden => Some(keys.hidden_size),
            Intermediate => Some(keys.intermediate_size),
        };
        // Without a key of their own, the embeddings are as wide as the hidden states.
        key.unwrap_or(keys.hidden_size).0
    }

    /// `None` if the model has no such dimension.
    fn size(self, config: &Config) -> Option<usize> {
        match self {
            Vocab => Some(config.vocab_size),
            Embedding => Some(config.embedding_size),
            Projected => config.projects_embeddings.then_some(config.embedding_size),
            Positions => Some(config.max_position_embeddings),
            Types => config.type_vocab_size,
            TaskTypes => config.task_type_vocab_size,
            Buckets => config.relative_attention_num_buckets,
            Heads => Some(config.num_attention_heads),
            Hidden => Some(config.hidden_size),
            Intermediate => Some(config.intermediate_size),
        }
    }
}

/// The tensors of one module: a weight, and for all but tables a bias.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ModuleTensors {
    /// BERT's name without `.weight` or `.bias`; in a layer, without [`layer_prefix`] too.
    name: &'static str,
    /// The weight's dimensions; the bias has the first one.
    dimensions: &'static [ConfigSize],
    has_bias: bool,
}

impl ModuleTensors {
    /// Whether a model of `config` has this module, apart from the pooler.
    pub(crate) fn is_in(self, config: &Config) -> bool {
        let mut dimensions = self.dimensions.iter();
        dimensions.all(|dimension| dimension.size(config).is_some())
    }

    pub(crate) fn weight(self, prefix: &str, config: &Config) -> NamedTensor {
        self.tensor(prefix, "weight", self.dimensions, config)
    }

    pub(crate) fn bias(self, prefix: &str, config: &Config) -> NamedTensor {
        self.tensor(prefix, "bias", &self.dimensions[..1], config)
    }

    fn tensor(
        self,
        prefix: &str,
        part: &str,
        dimensions: &'static [ConfigSize],
        config: &Config,
    ) -> NamedTensor {
        let mut renamed = config.model_type.facts().tensors.renamed.iter();
        let own = renamed.find(|(name, _)| *name == self.name);
        let name = own.map_or(self.name, |(_, own)| own);
        NamedTensor {
            name: format!("{prefix}{name}.{part}"),
            dimensions,
        }
    }

    pub(super) fn tensors(self, prefix: &str, config: &Config) -> Vec<NamedTensor> {
        let mut tensors = vec![self.weight(prefix, config)];
        tensors.extend(self.has_bias.then(|| self.bias(prefix, config)));
        tensors
    }
}

/// A tensor's name, without the checkpoint's prefix, and its dimensions.
pub(crate) struct NamedTensor {
    pub(crate) name: String,
    pub(super) dimensions: &'static [ConfigSize],
}

impl NamedTensor {
    pub(crate) fn shape(&self, config: &Config) -> Vec<usize> {
        let dimensions = self.dimensions.iter();
        dimensions
            .map(|dimension| dimension.size(config).unwrap_or_default())
            .collect()
    }
}

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

modules! { OUTSIDE_LAYERS:
    WORD_EMBEDDINGS = "embeddings.word_embeddings" [Vocab, Embedding], bias: false;
    POSITION_EMBEDDINGS = "embeddings.position_embeddings" [Positions, Embedding], bias: false;
    TOKEN_TYPE_EMBEDDINGS = "embeddings.token_type_embeddings" [Types, Embedding], bias: false;
    TASK_TYPE_EMBEDDINGS = "embeddings.task_type_embeddings" [TaskTypes, Embedding], bias: false;
    EMBEDDINGS_NORM = "embeddings.LayerNorm" [Embedding], bias: true;
    EMBEDDINGS_PROJECTION = "embeddings_project" [Hidden, Projected], bias: true;
    RELATIVE_ATTENTION_BIAS = "encoder.relative_attention_bias" [Buckets, Heads], bias: false;
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

/// The prefix of the names of a stored layer's modules.
pub(crate) fn layer_prefix(config: &Config, layer: usize) -> String {
    let names = &config.model_type.facts().tensors;
    match config.layer_groups {
        None => format!("{}{layer}.", names.layers),
        Some(groups) => format!(
            "{}{}{}{}.",
            names.layers,
            layer / groups.inner_group_num,
            names.layers_of_group,
            layer % groups.inner_group_num
        ),
    }
}

/// The tensors outside the layers, but for the pooler.
fn outside_layers(config: &Config) -> impl Iterator<Item = NamedTensor> {
    let modules = OUTSIDE_LAYERS.iter();
    let modules = modules.filter(|module| module.is_in(config));
    modules.flat_map(|module| module.tensors("", config))
}

/// The tensors of the layers, in their order.
pub(super) fn layers(config: &Config) -> impl Iterator<Item = NamedTensor> {
    (0..config.stored_layers()).flat_map(move |layer| {
        let prefix = layer_prefix(config, layer);
        let modules = LAYER.iter();
        modules.flat_map(move |module| module.tensors(&prefix, config))
    })
}

/// The tensors of everything but the pooler.
pub(super) fn encoder(config: &Config) -> impl Iterator<Item = NamedTensor> {
    outside_layers(config).chain(layers(config))
}

/// The older spelling of a layer norm's tensor; `None` for any other tensor.
pub(super) fn older_spelling(name: &str) -> Option<String> {
    let older = |new: &str, old: &str| Some(format!("{}{old}", name.strip_suffix(new)?));
    older("LayerNorm.weight", "LayerNorm.gamma")
        .or_else(|| older("LayerNorm.bias", "LayerNorm.beta"))
}

/// The number of different layers in `names`, or of groups of layers: N in
/// `<prefix>encoder.layer.N.`.
pub(super) fn count_layers<'a>(
    names: impl Iterator<Item = &'a str>,
    prefix: &str,
    model_type: ModelType,
) -> usize {
    let layers = model_type.facts().tensors.layers;
    let layers: BTreeSet<&str> = names
        .filter_map(|name| name.strip_prefix(prefix)?.strip_prefix(layers))
        .filter_map(|rest| Some(rest.split_once('.')?.0))
        .collect();
    layers.len()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(count_layers(names.into_iter(), "bert.", ModelType::Bert), 2);
    }
}
