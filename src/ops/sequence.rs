//! Where the tokens of one text lie in a batch.

/// Tokens that attend to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// First token.
    pub start: usize,
    /// Tokens, padding included.
    pub tokens: usize,
    /// Tokens that are attended to, the first ones; the others are padding. If it is zero, every
    /// token attends to all equally, as transformers' eager attention does under such a mask; its
    /// SDPA gives a context of zero instead.
    pub attended: usize,
}
