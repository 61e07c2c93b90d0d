//! One layer of the encoder: attention, then the feed-forward.
//!
//! Source: `BertLayer` (`BertIntermediate`, `BertOutput`) in transformers.

use super::Loader;
use super::attention::Attention;
use crate::checkpoint::HiddenAct;
use crate::error::Result;
use crate::ops::{Activation, Backend, LinearRole, OutputTensor};
use crate::weights::names;

/// One layer with its weights.
pub(super) struct Layer<B: Backend> {
    attention: Attention<B>,
    intermediate: B::Linear,
    hidden_act: Activation,
    output: B::Linear,
    output_norm: B::LayerNorm,
}

impl<B: Backend> Layer<B> {
    /// The stored layer `number`, from 0.
    pub(super) fn load(loader: &Loader<B>, number: usize) -> Result<Self> {
        let prefix = names::layer_prefix(loader.config, number);
        Ok(Self {
            attention: Attention::load(loader, &prefix)?,
            intermediate: loader.linear(&prefix, &[names::INTERMEDIATE], LinearRole::Hidden)?,
            hidden_act: activation(loader.config.hidden_act),
            output: loader.linear(&prefix, &[names::OUTPUT], LinearRole::Hidden)?,
            output_norm: loader.layer_norm(&prefix, names::OUTPUT_NORM)?,
        })
    }

    /// The output, and with `attentions` the attention probabilities.
    ///
    /// # Shapes
    /// `hidden` `[tokens, hidden]` → the same, and `[heads, tokens, tokens]` of each sequence
    pub(super) fn forward(
        &self,
        hidden: &B::HiddenStates,
        sequences: &B::Sequences,
        attentions: bool,
    ) -> Result<(B::HiddenStates, Option<OutputTensor>)> {
        let (output, probs) = self.attention.forward(hidden, sequences, attentions)?;
        Ok((self.feed_forward(&output)?, probs))
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
        let output = self.attention.forward_first(hidden, cls, sequences)?;
        self.feed_forward(&output)
    }

    fn feed_forward(&self, attention_output: &B::HiddenStates) -> Result<B::HiddenStates> {
        let intermediate = B::linear(&self.intermediate, attention_output, self.hidden_act)?;
        let output = B::linear(&self.output, &intermediate, Activation::None)?;
        B::add_layer_norm(&self.output_norm, &output, attention_output)
    }
}

fn activation(hidden_act: HiddenAct) -> Activation {
    match hidden_act {
        HiddenAct::Gelu => Activation::Gelu,
        HiddenAct::GeluTanh => Activation::GeluTanh,
        HiddenAct::Relu => Activation::Relu,
    }
}
