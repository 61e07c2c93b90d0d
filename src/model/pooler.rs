//! The pooler: tanh of a projection of each sequence's `[CLS]`.
//!
//! Source: `BertPooler` in transformers.

use super::Loader;
use crate::checkpoint::names;
use crate::error::{Error, Kind, Result};
use crate::ops::{Activation, Backend, LinearRole, OutputTensor, Sequence};

/// The pooler with its weights.
pub(super) struct Pooler<B: Backend> {
    dense: B::Linear,
}

impl<B: Backend> Pooler<B> {
    /// The checkpoint's pooler, or none if it has none.
    pub(super) fn load(loader: &Loader<B>) -> Result<Option<Self>> {
        let Some((weight, bias)) = loader.optional(names::POOLER)? else {
            return Ok(None);
        };
        // Elsewhere infinity shows in the outputs; here tanh makes a 1 of it.
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
    /// `hidden` `[tokens, hidden]` → `[sequences, hidden]`
    pub(super) fn forward(
        &self,
        hidden: &B::HiddenStates,
        sequences: &[Sequence],
    ) -> Result<OutputTensor> {
        let first_tokens: Vec<_> = sequences.iter().map(|sequence| sequence.start).collect();
        let cls = B::select(hidden, &first_tokens)?;
        B::rows(&B::linear(&self.dense, &cls, Activation::Tanh)?)
    }
}
