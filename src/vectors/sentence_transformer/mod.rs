//! What a sentence-transformers model does after the encoder: pooling, dense layers, prompts.
//! `reader.rs` reads it from the model's files.
//!
//! Source: `SentenceTransformer`, `Pooling`, `Dense` and `Normalize` of sentence-transformers 6.2.

mod reader;

use std::collections::BTreeMap;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};

/// How the encoder's rows become a sentence vector.
#[derive(Debug, Clone)]
pub(crate) struct SentenceTransformer {
    /// Their vectors are concatenated.
    pub pooling_modes: Vec<PoolingMode>,
    /// Whether the tokens of a prompt are pooled too.
    pub include_prompt: bool,
    /// What follows the pooling, in order.
    pub layers: Vec<SentenceLayer>,
    /// `sentence_bert_config.json`.
    pub encoder: EncoderConfig,
    /// `config_sentence_transformers.json`.
    pub config: SentenceConfig,
}

/// `sentence_bert_config.json`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct EncoderConfig {
    pub max_seq_length: Option<usize>,
    /// Whether texts are lowercased before anything else.
    pub do_lower_case: bool,
}

/// `config_sentence_transformers.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct SentenceConfig {
    /// Prompts that may be put before a text.
    prompts: BTreeMap<String, String>,
    default_prompt_name: Option<String>,
    /// How many values of the vector are kept.
    pub truncate_dim: Option<usize>,
}

impl SentenceConfig {
    /// The prompt that `typed` names, or `typed` itself. `query` and `document` are always known,
    /// as in sentence-transformers: they are empty if the model has none.
    ///
    /// # Errors
    /// [`Kind::Usage`] if `typed` can only be a name, and the model does not know it.
    pub(crate) fn prompt(&self, typed: &str) -> Result<String> {
        let looks_like_name = |name: &str| {
            let is_part = |it: char| it.is_alphanumeric() || matches!(it, '_' | '-' | '.');
            !name.is_empty() && name.chars().all(is_part)
        };
        match (self.prompts.get(typed), typed) {
            (Some(prompt), _) => Ok(prompt.clone()),
            (None, "query" | "document") => Ok(String::new()),
            (None, name) if looks_like_name(name) => {
                let names: Vec<_> = self.prompts.keys().map(String::as_str).collect();
                let known = match names.as_slice() {
                    [] => "it has none".to_owned(),
                    names => format!("it has {}", names.join(", ")),
                };
                let error = Error::message(
                    Kind::Usage,
                    format!("the model has no prompt `{name}`: {known}"),
                );
                Err(error.with_tip(format!("as text, end it with a space: --prompt '{name} '")))
            }
            (None, text) => Ok(text.to_owned()),
        }
    }

    /// The prompt to use if the user gives none.
    pub(crate) fn default_prompt(&self) -> Option<String> {
        self.prompts
            .get(self.default_prompt_name.as_ref()?)
            .cloned()
    }
}

/// How the rows of some tokens become one vector. The command line offers the ones that suit a
/// word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PoolingMode {
    /// The vector of its first token
    First,
    /// The vector of its last token
    Last,
    /// The mean over its tokens
    Mean,
    /// The largest value over its tokens
    Max,
    /// The sum over its tokens
    Sum,
    /// The sum divided by the square root of the number of rows.
    #[value(skip)]
    MeanSqrtLenTokens,
    /// The mean with weights 1, 2, 3, … by position.
    #[value(skip)]
    WeightedMean,
}

#[derive(Debug, Clone)]
pub(crate) enum SentenceLayer {
    /// activation(x · Wᵀ + b), plus x if `use_residual`.
    Dense(Dense),
    Normalize,
}

#[derive(Debug, Clone)]
pub(crate) struct Dense {
    /// `[out_features, in_features]`
    pub(crate) weight: Vec<f32>,
    /// `[out_features]`; empty if the layer has no bias.
    pub(crate) bias: Vec<f32>,
    pub(crate) in_features: usize,
    pub(crate) out_features: usize,
    pub(crate) activation: DenseActivation,
    /// Whether the input is added to the output.
    pub(crate) use_residual: bool,
}

/// The activations of `torch.nn` that Dense layers of published models use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DenseActivation {
    Tanh,
    Identity,
    Relu,
    /// `torch.nn.GELU`, the exact one.
    Gelu,
    Sigmoid,
}

impl SentenceTransformer {
    /// The width of a sentence vector before truncation.
    pub(crate) fn width(&self, hidden: usize) -> usize {
        let pooled = self.pooling_modes.len() * hidden;
        self.layers.iter().fold(pooled, |width, layer| match layer {
            SentenceLayer::Dense(dense) => dense.out_features,
            SentenceLayer::Normalize => width,
        })
    }
}
