//! The place of one text's tokens in a batch.

/// Tokens that attend to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    pub start: usize,
    /// How many tokens there are, padding included.
    pub tokens: usize,
    /// How many tokens are attended to: the first ones; the others are padding. If zero, every
    /// token attends to all equally, as in transformers' eager attention with such a mask (its SDPA
    /// gives a context of zero).
    pub attended: usize,
}
