//! The shapes of the fields over a whole run.

use super::Field;

/// What the shapes depend on beside the texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shapes {
    /// Width of a row.
    pub hidden: usize,
    /// Hidden states asked for.
    pub layers: usize,
    /// Width of a row of the hidden states made one; `None` where they stay apart.
    pub merged_width: Option<usize>,
}

impl Shapes {
    /// The shape of a numeric field's tensor, tokens laid end to end.
    #[must_use]
    pub fn of(&self, field: Field, texts: u64, tokens: u64) -> Vec<u64> {
        let hidden = self.hidden as u64;
        match field {
            Field::Index | Field::DroppedTokens => vec![texts],
            Field::PoolerOutput | Field::Embedding => vec![texts, hidden],
            Field::OffsetMapping => vec![tokens, 2],
            Field::LastHiddenState => vec![tokens, hidden],
            Field::HiddenStates => match self.merged_width {
                Some(width) => vec![tokens, width as u64],
                None => vec![self.layers as u64, tokens, hidden],
            },
            _ => vec![tokens],
        }
    }

    /// In how many parts a record gives the field: one a layer where layers stay apart.
    #[must_use]
    pub fn parts(&self, field: Field) -> usize {
        match (field, self.merged_width) {
            (Field::HiddenStates, None) => self.layers,
            _ => 1,
        }
    }
}
