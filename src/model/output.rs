//! The outputs of the encoder, each under its name from the model to the record.

use crate::error::Result;
use crate::ops::OutputTensor;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// The output of the last layer, `[tokens, hidden]`.
    LastHiddenState,
    /// Its row for the first token of each sequence, `[CLS]`: `[sequences, hidden]`. If nothing
    /// else of the last layer is selected, that layer computes these rows only.
    FirstTokens,
    /// The pooler's output, `[sequences, hidden]`; left out if the checkpoint has no pooler.
    PoolerOutput,
    /// The output of layer n, or for 0 the embedding output: `[tokens, hidden]`.
    HiddenState(usize),
    /// The attention probabilities of layer n, from 1: `[heads, tokens, tokens]` of one sequence
    /// after the other.
    Attentions(usize),
}

/// What an output has a row for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowPer {
    Token,
    Sequence,
    /// Each token of a sequence with each of its tokens. A sequence has its values in one piece,
    /// though the heads come first in it.
    TokenPair,
}

impl Output {
    /// What transformers' `BertModel` returns by default.
    pub const LAST_AND_POOLER: [Self; 2] = [Self::LastHiddenState, Self::PoolerOutput];

    /// What this output has a row for.
    #[must_use]
    pub fn row_per(self) -> RowPer {
        match self {
            Self::LastHiddenState | Self::HiddenState(_) => RowPer::Token,
            Self::FirstTokens | Self::PoolerOutput => RowPer::Sequence,
            Self::Attentions(_) => RowPer::TokenPair,
        }
    }

    /// The layer if this is a hidden state.
    pub(crate) fn hidden_state(self) -> Option<usize> {
        match self {
            Self::HiddenState(layer) => Some(layer),
            Self::LastHiddenState
            | Self::FirstTokens
            | Self::PoolerOutput
            | Self::Attentions(_) => None,
        }
    }

    pub(crate) fn attentions(self) -> Option<usize> {
        match self {
            Self::Attentions(layer) => Some(layer),
            Self::LastHiddenState
            | Self::FirstTokens
            | Self::PoolerOutput
            | Self::HiddenState(_) => None,
        }
    }

    /// The number of layers that must run for this output, in a model of `layers`.
    pub(super) fn layers_needed(self, layers: usize) -> usize {
        match self {
            Self::LastHiddenState | Self::FirstTokens | Self::PoolerOutput => layers,
            Self::HiddenState(number) | Self::Attentions(number) => number.min(layers),
        }
    }
}

/// Outputs of the encoder by name, in the order in which they were selected: on the device, on
/// their way to the host, or in its memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Outputs<T = OutputTensor>(Vec<(Output, T)>);

impl<T> Default for Outputs<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> FromIterator<(Output, T)> for Outputs<T> {
    fn from_iter<I: IntoIterator<Item = (Output, T)>>(outputs: I) -> Self {
        Self(outputs.into_iter().collect())
    }
}

impl<T> Outputs<T> {
    #[must_use]
    pub fn get(&self, output: Output) -> Option<&T> {
        let mut outputs = self.iter();
        outputs.find_map(|(name, value)| (name == output).then_some(value))
    }

    /// Takes the output of this name and drops the others.
    #[must_use]
    pub fn into(self, output: Output) -> Option<T> {
        let mut outputs = self.0.into_iter();
        outputs.find_map(|(name, value)| (name == output).then_some(value))
    }

    pub fn iter(&self) -> impl Iterator<Item = (Output, &T)> {
        self.0.iter().map(|(output, value)| (*output, value))
    }

    /// Every output with its name, to be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (Output, &mut T)> {
        self.0.iter_mut().map(|(output, value)| (*output, value))
    }

    /// The same outputs with their values changed by `change`.
    ///
    /// # Errors
    /// The first of `change`.
    pub(crate) fn try_map<U>(self, change: impl Fn(T) -> Result<U>) -> Result<Outputs<U>> {
        let change = |(output, value)| Ok((output, change(value)?));
        self.0.into_iter().map(change).collect()
    }
}
