//! How the integers of a linear layer lie in memory, weights and x alike.

use super::super::simd::{Level, Packing, WORDS_STEP, has_vnni};

/// How numbers become integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// i16 by i16, no zero points.
    Int16,
    /// u8 by i8, each with a zero point.
    Int8,
}

/// Values of k that share a scale, in int16. The largest of 128 uses few bits less than that of 64,
/// and the sums are converted to f32 half as often.
pub(super) const GROUP_INT16: usize = 128;

/// Values of k that share a scale and a zero point, in int8.
const GROUP_INT8: usize = 32;

/// How the integers of a linear layer lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    scheme: Scheme,
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

    pub(crate) fn scheme(self) -> Scheme {
        self.scheme
    }

    pub(crate) fn packing(self) -> Packing {
        self.packing
    }

    /// Values of k in a group.
    pub(crate) fn group(self) -> usize {
        match self.scheme {
            Scheme::Int16 => GROUP_INT16,
            Scheme::Int8 => GROUP_INT8,
        }
    }

    pub(super) fn group_words(self) -> usize {
        self.group() / self.packing.packed()
    }

    /// Words of one token or output.
    pub(super) fn row_words(self, features: usize) -> usize {
        let words = features.div_ceil(self.packing.packed());
        words.next_multiple_of(WORDS_STEP)
    }

    pub(super) fn groups(self, features: usize) -> usize {
        features.div_ceil(self.group())
    }
}
