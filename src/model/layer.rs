//! One layer of the encoder: attention, then the feed-forward.
//!
//! Source: `BertLayer` (`BertIntermediate`, `BertOutput`) in transformers.

use candle_core::Result as CandleResult;

use super::Loader;
use super::attention::Attention;
use crate::checkpoint::HiddenAct;
use crate::error::Result;
use crate::ops::{Activation, LayerNorm, Linear, Sequences, States};

/// One layer with its weights.
pub(super) struct Layer {
    attention: Attention,
    intermediate: Linear,
    hidden_act: Activation,
    output: Linear,
    output_norm: LayerNorm,
}

impl Layer {
    /// Layer `number`, from 0.
    pub(super) fn load(loader: &Loader, number: usize) -> Result<Self> {
        let prefix = format!("encoder.layer.{number}");
        let (hidden, intermediate) = (loader.config.hidden_size, loader.config.intermediate_size);
        let dense = |part: &str| [format!("{prefix}.{part}.dense")];
        Ok(Self {
            attention: Attention::load(loader, &format!("{prefix}.attention"))?,
            intermediate: loader.linear(&dense("intermediate"), intermediate, hidden)?,
            hidden_act: activation(loader.config.hidden_act),
            output: loader.linear(&dense("output"), hidden, intermediate)?,
            output_norm: loader.layer_norm(&format!("{prefix}.output.LayerNorm"))?,
        })
    }

    /// # Shapes
    /// `hidden` `[tokens, hidden]` → `[tokens, hidden]`
    pub(super) fn forward(&self, hidden: &States, sequences: &Sequences) -> CandleResult<States> {
        let attention_output = self.attention.forward(hidden, sequences)?;
        let intermediate = self
            .intermediate
            .forward(&attention_output, self.hidden_act)?;
        let output = self.output.forward(&intermediate, Activation::None)?;
        self.output_norm.forward(&output, &attention_output)
    }
}

fn activation(hidden_act: HiddenAct) -> Activation {
    match hidden_act {
        HiddenAct::Gelu => Activation::Gelu,
        HiddenAct::GeluTanh => Activation::GeluTanh,
        HiddenAct::Relu => Activation::Relu,
    }
}
