//! Multi-head self-attention with its output projection, residual and normalization.
//!
//! Source: `BertAttention` (`BertSelfAttention`, `BertSelfOutput`) in transformers.

use super::Loader;
use crate::error::Result;
use crate::ops::{Activation, Backend, LinearRole, OutputTensor};
use crate::weights::names;

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

    /// The output, and with `probs` the attention probabilities.
    ///
    /// # Shapes
    /// `hidden` `[tokens, hidden]` → the same, and `[heads, tokens, tokens]` of each sequence
    pub(super) fn forward(
        &self,
        hidden: &B::HiddenStates,
        sequences: &B::Sequences,
        probs: bool,
    ) -> Result<(B::HiddenStates, Option<OutputTensor>)> {
        let query_key_value = B::linear(&self.query_key_value, hidden, Activation::None)?;
        let probs = probs.then(|| B::attention_probs(&query_key_value, sequences, self.heads));
        let context = B::attention(&query_key_value, sequences, self.heads)?;
        Ok((self.output(&context, hidden)?, probs.transpose()?))
    }

    /// The output for the first token of each sequence, whose inputs are `cls`.
    ///
    /// # Shapes
    /// `hidden` `[tokens, hidden]`, `cls` `[sequences, hidden]` → `[sequences, hidden]`
    pub(super) fn forward_first(
        &self,
        hidden: &B::HiddenStates,
        cls: &B::HiddenStates,
        sequences: &B::Sequences,
    ) -> Result<B::HiddenStates> {
        let projections = &self.query_key_value;
        let context = B::first_token_attention(projections, hidden, sequences, self.heads)?;
        self.output(&context, cls)
    }

    fn output(
        &self,
        context: &B::HiddenStates,
        residual: &B::HiddenStates,
    ) -> Result<B::HiddenStates> {
        let output = B::linear(&self.output, context, Activation::None)?;
        B::add_layer_norm(&self.layer_norm, &output, residual)
    }
}
