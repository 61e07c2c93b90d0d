//! Weights as integers with a scale for each output and group of k.

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};

use super::super::simd::{
    EXPONENT_MAGIC, Kernel, Level, Packing, Simd, WORDS_STEP, dispatch, has_vnni,
};
use super::super::tile::tile_outputs;

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
const GROUP_INT16: usize = 128;

/// Values of k that share a scale and a zero point, in int8.
const GROUP_INT8: usize = 32;

/// The largest |x| of a group as an integer, in int16: 14 bits with the sign. The weights take the
/// rest of i32, see [`int16`].
pub(super) const LARGEST_X: f32 = 8191.0;

/// Partial sums of a group's absolute values.
const PARTIAL_SUMS: usize = 16;

/// Steps between the smallest and the largest number of a group in int8.
pub(super) const STEPS: f32 = 255.0;

/// A group without a number above this is all zeros: scales would leave f32.
pub(super) const TINY: f32 = 1e-30;

/// How the integers of a linear layer lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    scheme: Scheme,
    packing: Packing,
    /// The most outputs of a tile.
    tile_outputs: usize,
}

impl Format {
    fn new(scheme: Scheme) -> Self {
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

/// A quantized weight matrix, in tiles of outputs as the kernel takes them (`tile_outputs`).
///
/// The tiles follow each other. A tile's words lie in the order in which they are multiplied, the
/// outputs of one word side by side, and so do its scales.
///
/// It takes 2 bytes a number in int16 and 1 in int8, 2 if the machine has no VNNI, and 8 bytes a
/// group.
pub(crate) struct IntegerWeight {
    format: Format,
    in_features: usize,
    out_features: usize,
    /// `[row_words, outputs]` of each tile, zero past the last number.
    words: Vec<i32>,
    /// `[groups, outputs]` of each tile.
    scales: Vec<WeightScale>,
}

/// What turns the sum of a group's products into f32.
#[derive(Clone, Copy, Default)]
pub(super) struct WeightScale {
    pub(super) scale: f32,
    /// Of bytes: minus the sum of the group's in the lower half of a word, minus their zero point
    /// in the upper half.
    pub(super) correction: i32,
}

impl IntegerWeight {
    /// Quantizes the rows of `weight`, in parallel.
    ///
    /// # Shapes
    /// `weight`: `[out_features, in_features]`
    ///
    /// # Panics
    /// If `weight` has not as many numbers.
    pub(crate) fn quantize(weight: &[f32], in_features: usize, scheme: Scheme) -> Self {
        let format = Format::new(scheme);
        assert!(in_features > 0, "in_features is positive");
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

/// Quantizes one tile. A kernel, so that the compiler may use the level's instructions.
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
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let format = self.format;
        let mut room = [0; GROUP_INT16 / 2];
        for (output, row) in self.rows.chunks_exact(self.in_features).enumerate() {
            let words = self.words.chunks_mut(format.group_words() * self.outputs);
            let scales = self.scales.chunks_exact_mut(self.outputs);
            for ((values, words), scales) in row.chunks(format.group()).zip(words).zip(scales) {
                let quantized = &mut room[..words.len() / self.outputs];
                quantized.fill(0);
                scales[output] = quantize_group(values, format, quantized);
                for (words, word) in words.chunks_exact_mut(self.outputs).zip(quantized) {
                    words[output] = *word;
                }
            }
        }
    }
}

/// Quantizes one group into its words.
#[inline(always)]
fn quantize_group(values: &[f32], format: Format, words: &mut [i32]) -> WeightScale {
    let mut room = [0; GROUP_INT16];
    let integers = &mut room[..values.len()];
    let (scale, correction) = match (format.scheme, format.packing) {
        (Scheme::Int16, _) => {
            let scale = int16(values, integers);
            pack_pairs(integers, words);
            (scale, 0)
        }
        (Scheme::Int8, Packing::Pairs) => {
            let (scale, zero) = int8(values, integers);
            shift(integers, zero);
            pack_pairs(integers, words);
            (scale, 0)
        }
        (Scheme::Int8, Packing::Bytes) => {
            let (scale, zero) = int8(values, integers);
            // i8: half of the range below zero, the zero point with it.
            shift(integers, 128);
            pack_bytes(integers, words);
            let sum: i32 = integers.iter().sum();
            (scale, pair(-sum, 128 - zero))
        }
    };
    WeightScale { scale, correction }
}

/// Integers without a zero point; gives the scale.
///
/// They are as large as i32 allows: the sum of a group's products stays below 2^31 for every x of
/// at most [`LARGEST_X`] if the integers' absolute values add up to 2^31 / `LARGEST_X`. Normally
/// distributed weights get about 13 bits with their sign; equal ones get 12, and are exact.
#[inline(always)]
fn int16(values: &[f32], integers: &mut [i32]) -> f32 {
    let largest = largest_absolute(values);
    if largest < TINY {
        return 0.0;
    }
    // The compiler adds to the partial sums side by side.
    let mut sums = [0.0; PARTIAL_SUMS];
    for values in values.chunks(PARTIAL_SUMS) {
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += value.abs();
        }
    }
    let total: f32 = sums.iter().sum();
    // Rounding adds half to each number at most, and the f32 arithmetic here far less than 1000.
    let budget = 2_147_483_648.0 / LARGEST_X - 0.5 * GROUP_INT16 as f32 - 1000.0;
    let most = (budget * (largest / total)).floor().min(32767.0);
    let inverse = most / largest;
    for (integer, value) in integers.iter_mut().zip(values) {
        *integer = round(value * inverse);
    }
    largest / most
}

/// Integers from 0 to 255; gives the scale and the integer that stands for zero.
#[inline(always)]
fn int8(values: &[f32], integers: &mut [i32]) -> (f32, i32) {
    if !largest_absolute(values).is_finite() {
        // A scale of NaN makes the results NaN, and those are refused.
        return (f32::NAN, 0);
    }
    // Read as u32, negative numbers come above positive ones, the most negative last. Read as i32,
    // they come below.
    let bits = values.iter().map(|value| value.to_bits());
    let lowest = f32::from_bits(bits.max().unwrap_or_default()).min(0.0);
    let bits = values.iter().map(|value| value.to_bits().cast_signed());
    let highest = f32::from_bits(bits.fold(0, i32::max).cast_unsigned());
    let range = highest - lowest;
    if range < TINY {
        return (0.0, 0);
    }
    let inverse = STEPS / range;
    let zero = (-lowest * inverse).round_ties_even();
    for (integer, value) in integers.iter_mut().zip(values) {
        *integer = round((value * inverse + zero).clamp(0.0, STEPS));
    }
    (range * (1.0 / STEPS), zero as i32)
}

/// The largest absolute value; NaN if one of the values is.
#[inline(always)]
fn largest_absolute(values: &[f32]) -> f32 {
    // As bits absolute values have their own order, and NaN comes last.
    let bits = values.iter().map(|value| value.abs().to_bits());
    f32::from_bits(bits.max().unwrap_or_default())
}

/// The closest whole number, the even one of two; for values below 2^22.
#[inline(always)]
fn round(value: f32) -> i32 {
    let biased = (value + EXPONENT_MAGIC).to_bits().cast_signed();
    biased.wrapping_sub(EXPONENT_MAGIC.to_bits().cast_signed())
}

/// Takes `by` from every integer.
#[inline(always)]
fn shift(integers: &mut [i32], by: i32) {
    for integer in integers {
        *integer -= by;
    }
}

/// A word of two i16.
#[inline(always)]
fn pair(low: i32, high: i32) -> i32 {
    low & 0xFFFF | high << 16
}

#[inline(always)]
fn pack_pairs(integers: &[i32], words: &mut [i32]) {
    for (word, pairs) in words.iter_mut().zip(integers.chunks(2)) {
        *word = pair(pairs[0], pairs.get(1).copied().unwrap_or_default());
    }
}

#[inline(always)]
fn pack_bytes(integers: &[i32], words: &mut [i32]) {
    for (word, bytes) in words.iter_mut().zip(integers.chunks(4)) {
        for (place, byte) in bytes.iter().enumerate() {
            *word |= (byte & 0xFF) << (8 * place);
        }
    }
}
