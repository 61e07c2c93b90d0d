//! The pooler: tanh of a projection of each sequence's `[CLS]`.
//!
//! Source: `BertPooler` in transformers.

use candle_core::{Result as CandleResult, Tensor};

use super::Loader;
use crate::error::{Error, Kind, Result};
use crate::ops::{Activation, Linear, Sequence, States};

/// The pooler with its weights.
pub(super) struct Pooler {
    dense: Linear,
}

impl Pooler {
    /// The checkpoint's pooler, `None` where it has none.
    pub(super) fn load(loader: &Loader) -> Result<Option<Self>> {
        let hidden = loader.config.hidden_size;
        let tensors = loader.tensors;
        let Some(weight) = tensors.find("pooler.dense.weight", &[hidden, hidden])? else {
            return Ok(None);
        };
        let bias = tensors.get("pooler.dense.bias", &[hidden])?;
        // Elsewhere infinity shows in the outputs; here tanh makes a 1 of it.
        if !(weight.is_finite() && bias.is_finite()) {
            return Err(Error::message(
                Kind::Model,
                "its weights are not finite: they hold NaN or infinity",
            )
            .context("could not use the pooler of the model"));
        }
        let dense = loader.linear(&["pooler.dense".to_owned()], hidden, hidden)?;
        Ok(Some(Self { dense }))
    }

    /// # Shapes
    /// `hidden` `[tokens, hidden]` → `[sequences, hidden]`
    pub(super) fn forward(&self, hidden: &States, sequences: &[Sequence]) -> CandleResult<Tensor> {
        let first_tokens: Vec<_> = sequences.iter().map(|sequence| sequence.start).collect();
        let cls = hidden.select(&first_tokens)?;
        self.dense.forward(&cls, Activation::Tanh)?.rows()
    }
}
