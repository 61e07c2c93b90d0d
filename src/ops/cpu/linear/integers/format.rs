//! How the integers of a linear layer are stored, in the weights and in `x` alike.

use crate::ops::cpu::simd::{Level, Packing, WORDS_STEP, has_vnni};

/// How values become integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// i16 by i16, no zero points.
    Int16,
    /// u8 by i8, each with a zero point.
    Int8,
}

impl Scheme {
    /// Values of k that share a scale and, in int8, a zero point.
    ///
    /// In int16 the largest of 128 uses few bits less than the largest of 64, and the sums are
    /// converted to f32 half as often.
    pub(super) const fn group(self) -> usize {
        match self {
            Self::Int16 => 128,
            Self::Int8 => 32,
        }
    }
}

/// The most values of k in a group.
pub(super) const MAX_GROUP: usize = Scheme::Int16.group();

/// How the integers of a linear layer are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    pub(super) scheme: Scheme,
    packing: Packing,
    /// The most outputs of a tile.
    pub(super) tile_outputs: usize,
}

impl Format {
    pub(super) fn new(scheme: Scheme) -> Self {
        let packing = match scheme {
            Scheme::Int8 if has_vnni() => Packing::Bytes,
            Scheme::Int8 | Scheme::Int16 => Packing::Pairs,
        };
        Self {
            scheme,
            packing,
            tile_outputs: Level::current().tile_outputs(),
        }
    }

    pub(crate) fn packing(self) -> Packing {
        self.packing
    }

    pub(super) fn group_words(self) -> usize {
        self.scheme.group() / self.packing.packed()
    }

    /// Words of one token or output.
    pub(super) fn row_words(self, features: usize) -> usize {
        let words = features.div_ceil(self.packing.packed());
        words.next_multiple_of(WORDS_STEP)
    }

    pub(super) fn groups(self, features: usize) -> usize {
        features.div_ceil(self.scheme.group())
    }
}
