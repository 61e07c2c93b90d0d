//! How a group of weights becomes integers and a scale.

use super::format::{Format, MAX_GROUP, Scheme};
use super::rotation::rotate_row;
use crate::ops::cpu::simd::{EXPONENT_MAGIC, Packing};

/// The largest |x| of a group as an integer, in int16: 14 bits with the sign. The weights take the
/// rest of i32, see [`int16`].
pub(super) const LARGEST_INT16: f32 = 8191.0;

/// The largest integer of a group in int8, of `x` and of weights.
pub(super) const LARGEST_INT8: f32 = 127.0;

/// What makes bytes of `x` unsigned, as the instruction for bytes takes them.
pub(super) const BYTE_OFFSET: i32 = 128;

/// Partial sums of a group's absolute values.
const PARTIAL_SUMS: usize = 16;

/// A group whose values are all below this becomes zeros: scales would leave the range of f32.
pub(super) const TINY: f32 = 1e-30;

/// What turns the sum of a group's products into f32.
#[derive(Clone, Copy, Default)]
pub(super) struct WeightScale {
    pub(super) scale: f32,
    /// For bytes: what [`BYTE_OFFSET`] adds to the sum of products, negated.
    pub(super) correction: i32,
}

/// Quantizes one group, whose rotation overwrites its values, into its words.
#[inline(always)]
pub(super) fn quantize_group(values: &mut [f32], format: Format, words: &mut [i32]) -> WeightScale {
    let mut room = [0; MAX_GROUP];
    let integers = &mut room[..values.len()];
    let scale = match format.scheme {
        Scheme::Int16 => int16(values, integers),
        Scheme::Int8 => {
            rotate_row(values, format.rotation);
            // A rotation makes the product as many times larger as its block has values.
            int8(values, integers) / format.rotation as f32
        }
    };
    let correction = match format.packing() {
        Packing::Pairs => {
            pack_pairs(integers, words);
            0
        }
        Packing::Bytes => {
            pack_bytes(integers, words);
            -BYTE_OFFSET * integers.iter().sum::<i32>()
        }
    };
    WeightScale { scale, correction }
}

/// The integers of int16; returns the scale.
///
/// They are as large as i32 allows: the sum of a group's products stays below 2^31 for every x of
/// at most [`LARGEST_INT16`] if the integers' absolute values add up to 2^31 / `LARGEST_INT16`.
/// Normally distributed weights get about 13 bits with their sign; equal ones get 12, and are
/// exact.
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
    let budget = 2_147_483_648.0 / LARGEST_INT16 - 0.5 * MAX_GROUP as f32 - 1000.0;
    let most = (budget * (largest / total)).floor().min(32767.0);
    let inverse = most / largest;
    for (integer, value) in integers.iter_mut().zip(values) {
        *integer = round(value * inverse);
    }
    largest / most
}

/// The integers of int8, from -127 to 127; returns the scale.
#[inline(always)]
fn int8(values: &[f32], integers: &mut [i32]) -> f32 {
    let largest = largest_absolute(values);
    if !largest.is_finite() {
        // A scale of NaN makes the results NaN, which the encoder refuses.
        return f32::NAN;
    }
    if largest < TINY {
        return 0.0;
    }
    let inverse = LARGEST_INT8 / largest;
    for (integer, value) in integers.iter_mut().zip(values) {
        *integer = round(value * inverse);
    }
    largest * (1.0 / LARGEST_INT8)
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
