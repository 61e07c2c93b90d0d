//! Multi-head self-attention with its output projection, residual and normalization.
//!
//! Source: `BertAttention` (`BertSelfAttention`, `BertSelfOutput`) in transformers.

use super::Loader;
use crate::checkpoint::names;
use crate::error::Result;
use crate::ops::{Activation, Backend, LinearRole};

/// The attention of one layer.
pub(super) struct Attention<B: Backend> {
    query_key_value: B::Linear,
    output: B::Linear,
    layer_norm: B::LayerNorm,
    heads: usize,
}

impl<B: Backend> Attention<B> {
    /// The attention of the layer whose tensors begin with `prefix`.
    pub(super) fn load(loader: &Loader<B>, prefix: &str) -> Result<Self> {
        let query_key_value = [names::QUERY, names::KEY, names::VALUE];
        Ok(Self {
            query_key_value: loader.linear(prefix, &query_key_value, LinearRole::QueryKeyValue)?,
            output: loader.linear(prefix, &[names::ATTENTION_OUTPUT], LinearRole::Hidden)?,
            layer_norm: loader.layer_norm(prefix, names::ATTENTION_NORM)?,
            heads: loader.config.num_attention_heads,
        })
    }

    /// # Shapes
    /// `hidden` `[tokens, hidden]` → `[tokens, hidden]`
    pub(super) fn forward(
        &self,
        hidden: &B::HiddenStates,
        sequences: &B::Sequences,
    ) -> Result<B::HiddenStates> {
        let query_key_value = B::linear(&self.query_key_value, hidden, Activation::None)?;
        let context = B::attention(&query_key_value, sequences, self.heads)?;
        let output = B::linear(&self.output, &context, Activation::None)?;
        B::add_layer_norm(&self.layer_norm, &output, hidden)
    }
}
