//! Weights as integers with a scale for each output and group of k.

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};

use super::format::{Format, MAX_GROUP, Scheme};
use super::group::{WeightScale, quantize_group};
use crate::ops::cpu::simd::{Kernel, Level, Simd, dispatch};
use crate::ops::cpu::tile::tile_outputs;

/// A quantized weight matrix, in tiles of outputs as the kernel takes them (`tile_outputs`).
///
/// The tiles follow each other. A tile's words are in the order in which they are multiplied, the
/// outputs of one word side by side, and so are its scales.
///
/// It takes 2 bytes per value in int16 and 1 in int8 (2 if the machine has no VNNI), and 8 bytes
/// per group.
pub(crate) struct IntegerWeight {
    format: Format,
    in_features: usize,
    out_features: usize,
    /// `[row_words, outputs]` of each tile, zero past the last value.
    words: Vec<i32>,
    /// `[groups, outputs]` of each tile.
    scales: Vec<WeightScale>,
}

impl IntegerWeight {
    /// Quantizes the rows of `weight`, in parallel.
    ///
    /// # Shapes
    /// `weight`: `[out_features, in_features]`
    ///
    /// # Panics
    /// If `in_features` is 0 or does not divide `weight.len()`.
    pub(crate) fn quantize(weight: &[f32], in_features: usize, scheme: Scheme) -> Self {
        assert!(in_features > 0, "in_features is positive");
        let format = Format::new(scheme, in_features);
        let out_features = weight.len() / in_features;
        assert_eq!(
            weight.len(),
            out_features * in_features,
            "weight is [out, in]"
        );
        let (row_words, groups) = (format.row_words(in_features), format.groups(in_features));
        let mut words = vec![0; out_features * row_words];
        let mut scales = vec![WeightScale::default(); out_features * groups];
        let most = format.tile_outputs;
        let level = Level::current();
        weight
            .par_chunks(most * in_features)
            .zip(words.par_chunks_mut(most * row_words))
            .zip(scales.par_chunks_mut(most * groups))
            .for_each(|((mut weight, mut words), mut scales)| {
                while !weight.is_empty() {
                    let outputs = tile_outputs(weight.len() / in_features, most);
                    let rows;
                    (rows, weight) = weight.split_at(outputs * in_features);
                    let tile = WeightTile {
                        rows,
                        in_features,
                        format,
                        words: words
                            .split_off_mut(..outputs * row_words)
                            .unwrap_or_default(),
                        scales: scales.split_off_mut(..outputs * groups).unwrap_or_default(),
                        outputs,
                    };
                    dispatch(level, tile);
                }
            });
        Self {
            format,
            in_features,
            out_features,
            words,
            scales,
        }
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    pub(crate) fn scheme(&self) -> Scheme {
        self.format.scheme
    }

    pub(crate) fn in_features(&self) -> usize {
        self.in_features
    }

    pub(crate) fn out_features(&self) -> usize {
        self.out_features
    }

    pub(super) fn words(&self) -> &[i32] {
        &self.words
    }

    pub(super) fn scales(&self) -> &[WeightScale] {
        &self.scales
    }
}

/// Quantizes one tile; a kernel, so that the compiler may use the level's instructions.
struct WeightTile<'a> {
    /// `[outputs, in_features]`
    rows: &'a [f32],
    in_features: usize,
    format: Format,
    /// `[row_words, outputs]`
    words: &'a mut [i32],
    /// `[groups, outputs]`
    scales: &'a mut [WeightScale],
    outputs: usize,
}

impl Kernel for WeightTile<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let format = self.format;
        let (mut values, mut quantized) = ([0.0; MAX_GROUP], [0; MAX_GROUP / 2]);
        for (output, row) in self.rows.chunks_exact(self.in_features).enumerate() {
            let words = self.words.chunks_mut(format.group_words() * self.outputs);
            let scales = self.scales.chunks_exact_mut(self.outputs);
            for ((group, words), scales) in row.chunks(format.group).zip(words).zip(scales) {
                let values = &mut values[..group.len()];
                values.copy_from_slice(group);
                let quantized = &mut quantized[..words.len() / self.outputs];
                quantized.fill(0);
                scales[output] = quantize_group(values, format, quantized);
                for (words, word) in words.chunks_exact_mut(self.outputs).zip(quantized) {
                    words[output] = *word;
                }
            }
        }
    }
}
