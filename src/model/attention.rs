//! Multi-head self-attention with its output projection, residual and normalization.
//!
//! Source: `BertAttention` (`BertSelfAttention`, `BertSelfOutput`) in transformers.

use candle_core::Result as CandleResult;

use super::Loader;
use crate::error::Result;
use crate::ops::{Activation, LayerNorm, Linear, Sequences, States, attention};

/// The attention of one layer.
pub(super) struct Attention {
    query_key_value: Linear,
    output: Linear,
    layer_norm: LayerNorm,
    heads: usize,
}

impl Attention {
    /// The tensors under `prefix`, `encoder.layer.N.attention`.
    pub(super) fn load(loader: &Loader, prefix: &str) -> Result<Self> {
        let hidden = loader.config.hidden_size;
        let names = ["query", "key", "value"].map(|name| format!("{prefix}.self.{name}"));
        Ok(Self {
            query_key_value: loader.linear(&names, hidden, hidden)?,
            output: loader.linear(&[format!("{prefix}.output.dense")], hidden, hidden)?,
            layer_norm: loader.layer_norm(&format!("{prefix}.output.LayerNorm"))?,
            heads: loader.config.num_attention_heads,
        })
    }

    /// # Shapes
    /// `hidden` `[tokens, hidden]` → `[tokens, hidden]`
    pub(super) fn forward(&self, hidden: &States, sequences: &Sequences) -> CandleResult<States> {
        let query_key_value = self.query_key_value.forward(hidden, Activation::None)?;
        let context = attention(&query_key_value, sequences, self.heads)?;
        let output = self.output.forward(&context, Activation::None)?;
        self.layer_norm.forward(&output, hidden)
    }
}
