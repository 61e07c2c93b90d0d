//! The pooler: tanh of a projection of each sequence's `[CLS]`.
//!
//! Source: `BertPooler` in transformers.

use super::Loader;
use crate::error::{Error, Kind, Result};
use crate::ops::{Activation, Backend, LinearRole, OutputTensor};
use crate::weights::names;

/// The pooler with its weights.
pub(super) struct Pooler<B: Backend> {
    dense: B::Linear,
}

impl<B: Backend> Pooler<B> {
    /// The checkpoint's pooler, or none if it has none.
    pub(super) fn load(loader: &Loader<B>) -> Result<Option<Self>> {
        if !loader.tensors.has_pooler(loader.config) {
            return Ok(None);
        }
        let weight = loader.weight("", names::POOLER)?;
        let bias = loader.bias("", names::POOLER)?;
        // Elsewhere infinity shows in the outputs; here tanh would turn it into 1.
        if !(weight.is_finite() && bias.is_finite()) {
            return Err(Error::message(
                Kind::Model,
                "its weights are not finite: they hold NaN or infinity",
            )
            .context("could not use the pooler of the model"));
        }
        let dense = loader.linear("", &[names::POOLER], LinearRole::Pooler)?;
        Ok(Some(Self { dense }))
    }

    /// # Shapes
    /// `cls` `[sequences, hidden]` → the same
    pub(super) fn forward(&self, cls: &B::HiddenStates) -> Result<OutputTensor> {
        B::rows(&B::linear(&self.dense, cls, Activation::Tanh)?)
    }
}
