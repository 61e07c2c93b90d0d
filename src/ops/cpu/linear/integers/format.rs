//! How the integers of a linear layer are stored, in the weights and in `x` alike.

use crate::ops::cpu::simd::{Level, Packing, WORDS_STEP, has_vnni};

/// How values become integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// i16 by i16.
    Int16,
    /// i8 by i8, both rotated first (`rotation.rs`).
    Int8,
}

/// The most values of k in a group.
pub(super) const MAX_GROUP: usize = 128;

/// The fewest: enough for whole steps of words.
const MIN_GROUP: usize = 32;

/// How the integers of a linear layer are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    pub(super) scheme: Scheme,
    /// Values of k that are rotated together, a power of two; 1 for none.
    pub(super) rotation: usize,
    /// Values of k that share a scale.
    pub(super) group: usize,
    packing: Packing,
    /// The most outputs of a tile.
    pub(super) tile_outputs: usize,
}

impl Format {
    pub(super) fn new(scheme: Scheme, in_features: usize) -> Self {
        let (rotation, group) = match scheme {
            Scheme::Int16 => (1, MAX_GROUP),
            Scheme::Int8 => {
                let rotation = (1 << in_features.trailing_zeros()).min(MAX_GROUP);
                (rotation, rotation.max(MIN_GROUP))
            }
        };
        let packing = match scheme {
            Scheme::Int8 if has_vnni() => Packing::Bytes,
            Scheme::Int8 | Scheme::Int16 => Packing::Pairs,
        };
        Self {
            scheme,
            rotation,
            group,
            packing,
            tile_outputs: Level::current().tile_outputs(),
        }
    }

    pub(crate) fn packing(self) -> Packing {
        self.packing
    }

    pub(super) fn group_words(self) -> usize {
        self.group / self.packing.packed()
    }

    /// Words of one token or output.
    pub(super) fn row_words(self, features: usize) -> usize {
        let words = features.div_ceil(self.packing.packed());
        words.next_multiple_of(WORDS_STEP)
    }

    pub(super) fn groups(self, features: usize) -> usize {
        features.div_ceil(self.group)
    }
}
