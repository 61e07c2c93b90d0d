//! `config.json` → [`Config`]: the sizes of one model, with the defaults of its [`ModelType`].

mod parse;

use std::path::Path;

use anyhow::Context;

use super::directory::{could_not_use, read};
use super::files;
use super::model_type::ModelType;
use crate::error::{Classify, Kind, Result};

/// The size limit of a `config.json`: 6 KB are usual, one with 30,000 class labels has 2 MB.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// The activation between the two linear layers of a feed-forward block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HiddenAct {
    /// x · Φ(x), by the error function (Hendrycks and Gimpel 2016), which BERT itself uses.
    Gelu,
    /// Its approximation by tanh, at most 4.7e-4 off.
    GeluTanh,
    /// max(0, x).
    Relu,
}

/// The sizes and constants of one model, named as in BERT's `config.json`.
///
/// Each size is at least 1 and at most 16,777,216, but unconfirmed until
/// [`Tensors::check`](crate::weights::Tensors::check) has compared it with the tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Which model it is.
    pub model_type: ModelType,
    /// Rows of the word embeddings: token ids are below it.
    pub vocab_size: usize,
    /// Width of the embedding tables' rows; `hidden_size` in most types.
    pub embedding_size: usize,
    /// Whether a linear layer brings the embeddings to `hidden_size`.
    pub projects_embeddings: bool,
    /// Width of every token's vector; a multiple of `num_attention_heads`.
    pub hidden_size: usize,
    /// Layers of the encoder, or if layers share weights, how often a group of them runs.
    pub num_hidden_layers: usize,
    /// The layers that share weights; `None` if each has its own.
    pub layer_groups: Option<LayerGroups>,
    /// Heads of each self-attention.
    pub num_attention_heads: usize,
    /// Width between the two linear layers of a feed-forward block.
    pub intermediate_size: usize,
    /// Rows of the position embeddings.
    pub max_position_embeddings: usize,
    /// The position of a token with this id; the others count from the next position. `None` if
    /// all tokens count from 0.
    pub padding_idx: Option<u32>,
    /// Rows of the token type embeddings (segments A and B), if there are any.
    pub type_vocab_size: Option<usize>,
    /// Rows of ERNIE's task type embeddings, if they are used.
    pub task_type_vocab_size: Option<usize>,
    /// Rows of the table of attention biases by distance, if there is one.
    pub relative_attention_num_buckets: Option<usize>,
    /// The feed-forward block's activation.
    pub hidden_act: HiddenAct,
    /// Added to the variance in every layer norm; above 0.
    pub layer_norm_eps: f64,
    /// The token id of `[PAD]`; below `vocab_size`. 0 if the file says null.
    pub pad_token_id: u32,
}

/// The layers of ALBERT: `num_hidden_groups` groups of `inner_group_num` layers. A group runs
/// several times before the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerGroups {
    /// How many groups there are.
    pub num_hidden_groups: usize,
    /// How many layers each has.
    pub inner_group_num: usize,
}

impl Config {
    /// Reads `config.json` in `directory`.
    ///
    /// Keys that do not change the outputs (`dtype`, `torch_dtype`, dropouts, labels) are ignored.
    ///
    /// # Errors
    /// [`Kind::Model`]: the file is missing, unreadable, over 4 MiB or not JSON; a value has the
    /// wrong type or is out of range; the model is not a plain encoder of a supported type.
    pub fn read(directory: &Path) -> Result<Self> {
        files::refuse_adapter(directory)?;
        let content = read(directory, files::CONFIG, MAX_BYTES)?;
        Self::parse(&content)
            .with_context(|| could_not_use(&directory.join(files::CONFIG)))
            .kind(Kind::Model)
    }

    /// The width of one head: `hidden_size / num_attention_heads`.
    #[must_use]
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// The most tokens of one sequence.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        let before_first = self.padding_idx.map_or(0, |padding| padding as usize + 1);
        self.max_position_embeddings.saturating_sub(before_first)
    }

    /// How many layers have weights.
    #[must_use]
    pub fn stored_layers(&self) -> usize {
        match self.layer_groups {
            None => self.num_hidden_layers,
            Some(groups) => groups.num_hidden_groups * groups.inner_group_num,
        }
    }

    /// How many layers a token goes through.
    #[must_use]
    pub fn layers(&self) -> usize {
        let inner = self.layer_groups.map_or(1, |it| it.inner_group_num);
        self.num_hidden_layers * inner
    }

    /// The size that counts the numbers in the names of layers or groups of them, with its key.
    pub(crate) fn numbered_layers(&self) -> (&'static str, usize) {
        let keys = self.model_type.keys();
        match (self.layer_groups, &keys.layer_groups) {
            (Some(groups), Some(keys)) => (keys.num_hidden_groups.0, groups.num_hidden_groups),
            _ => (keys.num_hidden_layers.0, self.num_hidden_layers),
        }
    }

    /// For each layer that a token goes through, which of the stored ones it is.
    ///
    /// Source: `AlbertTransformer.forward`, with its division in f64.
    #[must_use]
    #[allow(clippy::cast_sign_loss, reason = "a quotient of sizes")]
    pub fn layer_order(&self) -> Vec<usize> {
        let Some(groups) = self.layer_groups else {
            return (0..self.num_hidden_layers).collect();
        };
        let runs_of_group = self.num_hidden_layers as f64 / groups.num_hidden_groups as f64;
        let layers_of = |run: usize| {
            let group = (run as f64 / runs_of_group) as usize;
            (0..groups.inner_group_num).map(move |layer| group * groups.inner_group_num + layer)
        };
        (0..self.num_hidden_layers).flat_map(layers_of).collect()
    }
}
