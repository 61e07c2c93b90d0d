//! How a group of values becomes integers and a scale.

use super::format::{Format, MAX_GROUP, Scheme};
use crate::ops::cpu::simd::{EXPONENT_MAGIC, Packing};

/// The largest |x| of a group as an integer, in int16: 14 bits with the sign. The weights take the
/// rest of i32, see [`int16`].
pub(super) const LARGEST_X: f32 = 8191.0;

/// Partial sums of a group's absolute values.
const PARTIAL_SUMS: usize = 16;

/// Steps between the smallest and the largest value of a group in int8.
pub(super) const STEPS: f32 = 255.0;

/// A group whose values are all below this becomes zeros: scales would leave the range of f32.
pub(super) const TINY: f32 = 1e-30;

/// What turns the sum of a group's products into f32.
#[derive(Clone, Copy, Default)]
pub(super) struct WeightScale {
    pub(super) scale: f32,
    /// For bytes: minus the sum of the group's bytes in the lower half of a word, minus their zero
    /// point in the upper half.
    pub(super) correction: i32,
}

/// Quantizes one group into its words.
#[inline(always)]
pub(super) fn quantize_group(values: &[f32], format: Format, words: &mut [i32]) -> WeightScale {
    let mut room = [0; MAX_GROUP];
    let integers = &mut room[..values.len()];
    let (scale, correction) = match (format.scheme, format.packing()) {
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
            // To the range of i8; the zero point moves along.
            shift(integers, 128);
            pack_bytes(integers, words);
            let sum: i32 = integers.iter().sum();
            (scale, pair(-sum, 128 - zero))
        }
    };
    WeightScale { scale, correction }
}

/// Integers without a zero point; returns the scale.
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
    // Rounding adds at most half to each value, and the f32 arithmetic here far less than 1000.
    let budget = 2_147_483_648.0 / LARGEST_X - 0.5 * MAX_GROUP as f32 - 1000.0;
    let most = (budget * (largest / total)).floor().min(32767.0);
    let inverse = most / largest;
    for (integer, value) in integers.iter_mut().zip(values) {
        *integer = round(value * inverse);
    }
    largest / most
}

/// Integers from 0 to 255; returns the scale and the zero point, the integer that means zero.
#[inline(always)]
fn int8(values: &[f32], integers: &mut [i32]) -> (f32, i32) {
    if !largest_absolute(values).is_finite() {
        // A scale of NaN makes the results NaN, which the encoder refuses.
        return (f32::NAN, 0);
    }
    // The bits of negative values are above those of positive ones as u32, the most negative being
    // the largest, and below them as i32.
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
    // The bits of absolute values have the order of the values, with NaN above all.
    let bits = values.iter().map(|value| value.abs().to_bits());
    f32::from_bits(bits.max().unwrap_or_default())
}

/// `value` rounded to a whole number, ties to even; for values below 2^22.
#[inline(always)]
fn round(value: f32) -> i32 {
    let biased = (value + EXPONENT_MAGIC).to_bits().cast_signed();
    biased.wrapping_sub(EXPONENT_MAGIC.to_bits().cast_signed())
}

/// Subtracts `by` from every integer.
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
