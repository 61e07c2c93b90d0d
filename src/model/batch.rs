//! The tokens of several texts, end to end.

use crate::ops::Sequence;

/// Sequences that the encoder takes at once; each list of ids has one entry per token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Rows of the word embeddings.
    pub input_ids: Vec<u32>,
    /// Rows of the token-type embeddings.
    pub token_type_ids: Vec<u32>,
    /// Where each sequence lies.
    pub sequences: Vec<Sequence>,
}

impl Batch {
    /// Adds one sequence, of which the first `attended` tokens are real and the rest padding.
    pub fn push(&mut self, input_ids: &[u32], token_type_ids: &[u32], attended: usize) {
        let (start, tokens) = (self.input_ids.len(), input_ids.len());
        self.input_ids.extend_from_slice(input_ids);
        self.token_type_ids.extend_from_slice(token_type_ids);
        self.sequences.push(Sequence {
            start,
            tokens,
            attended,
        });
    }
}
