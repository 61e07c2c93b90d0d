//! `x` as integers: quantized once for all outputs, per token and group of k.

use super::format::{Format, Scheme};
use super::group::{LARGEST_X, STEPS, TINY};
use crate::ops::cpu::buffer::AlignedValues;
use crate::ops::cpu::panel::{PanelLayout, panel_tokens};
use crate::ops::cpu::simd::{IntegerKernel, Integers, Level, Packing, Products, dispatch_integers};
use crate::ops::cpu::threads::{SharedOut, for_each_item};

/// The tokens of a batch as integers, in panels.
///
/// A panel holds its words `[row_words, width]`, then the scales `[groups, width]`, then, if the
/// words are bytes, the corrections `[groups, width]`: each token's zero point in the lower half of
/// a word, and the sum of the group's integers less their zero point in the upper half.
pub(crate) struct IntegerInput {
    pub(crate) format: Format,
    /// Values of each token before they were quantized.
    pub(super) features: usize,
    layout: PanelLayout,
    /// f32, and the bits of words.
    values: AlignedValues,
}

/// Some groups of one panel.
#[derive(Clone, Copy)]
pub(super) struct IntegerPanel<'a> {
    /// `[words, width]`
    pub(super) words: &'a [f32],
    /// `[groups, width]`
    pub(super) scales: &'a [f32],
    /// For bytes: `[groups, width]`
    pub(super) corrections: &'a [f32],
    /// Lanes: one register's or two.
    pub(super) width: usize,
}

impl IntegerInput {
    /// # Shapes
    /// `x`: panels of `[tokens, features]`
    pub(crate) fn quantize(x: &[f32], from: PanelLayout, format: Format) -> Self {
        let PanelLayout { tokens, features } = from;
        let parts = match format.packing() {
            Packing::Pairs => 1,
            Packing::Bytes => 2,
        };
        let layout = PanelLayout {
            tokens,
            features: format.row_words(features) + parts * format.groups(features),
        };
        let kernel = |out: SharedOut| {
            let panels = tokens.div_ceil(2 * Level::current().lanes());
            let nothing = || ();
            for_each_item(panels, nothing, |(), index| {
                let kernel = Quantize {
                    x,
                    from,
                    format,
                    index,
                    out,
                    to: layout,
                };
                dispatch_integers(format.packing(), kernel);
            });
        };
        // SAFETY: the kernel writes every word, scale and correction of every panel.
        let values = unsafe { AlignedValues::written_by(layout.size(), kernel) };
        Self {
            format,
            features,
            layout,
            values,
        }
    }

    /// Words of one token.
    pub(crate) fn row_words(&self) -> usize {
        self.format.row_words(self.features)
    }

    /// All groups of the panel `index`.
    #[inline(always)]
    pub(super) fn panel<S: Integers>(&self, index: usize) -> IntegerPanel<'_> {
        let panel = self.layout.panel::<S>(index);
        let width = panel.width;
        let values = &self.values[panel.start..][..self.layout.features * width];
        let (words, rest) = values.split_at(self.row_words() * width);
        let (scales, corrections) = rest.split_at(self.format.groups(self.features) * width);
        IntegerPanel {
            words,
            scales,
            corrections,
            width,
        }
    }
}

/// Quantizes panel `index`.
struct Quantize<'a> {
    x: &'a [f32],
    from: PanelLayout,
    format: Format,
    index: usize,
    out: SharedOut<'a>,
    to: PanelLayout,
}

impl IntegerKernel for Quantize<'_> {
    #[inline(always)]
    fn run<S: Integers, P: Products<S>>(self, simd: S, _products: P) {
        let features = self.from.features;
        let (from, to) = (
            self.from.panel::<S>(self.index),
            self.to.panel::<S>(self.index),
        );
        assert!(self.index * panel_tokens::<S>() < self.from.tokens);
        let width = from.width;
        let words = self.out.at(to.start, self.to.features * width);
        let row_words = self.format.row_words(features);
        for lane in (0..width).step_by(S::LANES) {
            for group in 0..self.format.groups(features) {
                let first = group * self.format.scheme.group();
                let first_word = group * self.format.group_words();
                let values = GroupValues {
                    x: &self.x[from.start + first * width + lane..],
                    width,
                    count: self.format.scheme.group().min(features - first),
                };
                // SAFETY: the words of the group, its scale and its correction are in this panel.
                unsafe {
                    let to = GroupWords {
                        words: words.add(first_word * width + lane),
                        width,
                        count: self.format.group_words().min(row_words - first_word),
                    };
                    let scale = words.add((row_words + group) * width + lane);
                    match (self.format.scheme, self.format.packing()) {
                        (Scheme::Int16, _) => values.int16(simd, to, scale),
                        (Scheme::Int8, Packing::Pairs) => values.int8_pairs(simd, to, scale),
                        (Scheme::Int8, Packing::Bytes) => {
                            let groups = self.format.groups(features);
                            let correction = scale.add(groups * width);
                            values.int8_bytes(simd, to, scale, correction);
                        }
                    }
                }
            }
        }
    }
}

/// Where the words of a group go, for one register of tokens.
#[derive(Clone, Copy)]
struct GroupWords {
    words: *mut f32,
    width: usize,
    count: usize,
}

impl GroupWords {
    /// # Safety
    /// `index` must be below `count`, and the words writable.
    #[inline(always)]
    unsafe fn store<S: Integers>(self, simd: S, index: usize, words: S::Words) {
        // SAFETY: the caller's promise.
        unsafe { simd.store_words(words, self.words.add(index * self.width).cast()) }
    }
}

/// The values of a group, for one register of tokens.
#[derive(Clone, Copy)]
struct GroupValues<'a> {
    /// From the first token's first value on.
    x: &'a [f32],
    /// From one k to the next.
    width: usize,
    count: usize,
}

/// How the values of each token become steps from 0 to 255.
struct Steps<S: Integers> {
    /// 1 / scale
    inverse: S::Vector,
    /// The zero point, a whole number.
    zero: S::Vector,
}

impl GroupValues<'_> {
    /// Value `k` of each token; zero past the last one.
    #[inline(always)]
    fn get<S: Integers>(self, simd: S, k: usize) -> S::Vector {
        if k < self.count {
            simd.load_slice(&self.x[k * self.width..][..S::LANES])
        } else {
            simd.splat(0.0)
        }
    }

    /// Two i16 per word, without a zero point.
    ///
    /// # Safety
    /// `to` must be writable for its words, and `scale` for a register.
    #[inline(always)]
    unsafe fn int16<S: Integers>(self, simd: S, to: GroupWords, scale: *mut f32) {
        let sign = simd.splat_word(i32::MAX);
        let mut largest = simd.splat_word(0);
        for k in 0..self.count {
            // The bits of absolute values have the order of the values, with NaN above all.
            let absolute = simd.and(simd.as_words(self.get(simd, k)), sign);
            largest = simd.max_words(largest, absolute);
        }
        let largest = simd.as_floats(largest);
        let inverse = inverse(simd, LARGEST_X, largest);
        // SAFETY: the caller's promise.
        unsafe { simd.store(simd.mul(largest, simd.splat(1.0 / LARGEST_X)), scale) }
        for word in 0..to.count {
            let low = simd.round(simd.mul(self.get(simd, 2 * word), inverse));
            let high = simd.round(simd.mul(self.get(simd, 2 * word + 1), inverse));
            let pair = pair(simd, low, high);
            // SAFETY: word is below the count.
            unsafe { to.store(simd, word, pair) }
        }
    }

    /// Writes the scales of int8; returns what makes the integers.
    ///
    /// # Safety
    /// `scale` must be writable for a register.
    #[inline(always)]
    unsafe fn steps<S: Integers>(self, simd: S, scale: *mut f32) -> Steps<S> {
        let (mut highest, mut lowest) = (simd.splat_word(0), simd.splat_word(0));
        for k in 0..self.count {
            // The bits of positive values have the order of the values; as unsigned integers, those
            // of negative values are above them, in reverse order. NaN is above all in both.
            let bits = simd.as_words(self.get(simd, k));
            highest = simd.max_words(highest, bits);
            lowest = simd.max_unsigned(lowest, bits);
        }
        let lowest = simd.min(simd.splat(0.0), simd.as_floats(lowest));
        let range = simd.sub(simd.as_floats(highest), lowest);
        let inverse = inverse(simd, STEPS, range);
        // SAFETY: the caller's promise.
        unsafe { simd.store(simd.mul(range, simd.splat(1.0 / STEPS)), scale) }
        let zero = simd.mul(simd.sub(simd.splat(0.0), lowest), inverse);
        let zero = simd.to_floats(simd.round(zero));
        Steps { inverse, zero }
    }

    /// The integer from 0 to 255 of value `k`.
    #[inline(always)]
    fn byte<S: Integers>(self, simd: S, steps: &Steps<S>, k: usize) -> S::Words {
        let place = simd.add(simd.mul(self.get(simd, k), steps.inverse), steps.zero);
        let place = simd.max(simd.splat(0.0), simd.min(simd.splat(STEPS), place));
        simd.round(place)
    }

    /// Two i16 per word: int8 less its zero point.
    ///
    /// # Safety
    /// `to` must be writable for its words, and `scale` for a register.
    #[inline(always)]
    unsafe fn int8_pairs<S: Integers>(self, simd: S, to: GroupWords, scale: *mut f32) {
        // SAFETY: the caller's promise.
        let steps = unsafe { self.steps(simd, scale) };
        let zero = simd.round(steps.zero);
        for word in 0..to.count {
            let low = simd.sub_words(self.byte(simd, &steps, 2 * word), zero);
            let high = simd.sub_words(self.byte(simd, &steps, 2 * word + 1), zero);
            let pair = pair(simd, low, high);
            // SAFETY: word is below the count.
            unsafe { to.store(simd, word, pair) }
        }
    }

    /// Four u8 per word.
    ///
    /// # Safety
    /// `to` must be writable for its words, `scale` and `correction` for a register.
    #[inline(always)]
    unsafe fn int8_bytes<S: Integers>(
        self,
        simd: S,
        to: GroupWords,
        scale: *mut f32,
        correction: *mut f32,
    ) {
        // SAFETY: the caller's promise.
        let steps = unsafe { self.steps(simd, scale) };
        let zero = simd.round(steps.zero);
        let (mut sum, mut zeros) = (simd.splat_word(0), simd.splat_word(0));
        let four_zeros = simd.shift_left::<2>(zero);
        for word in 0..to.count {
            // Written out: a closure that is not inlined loses the target features.
            let a = self.byte(simd, &steps, 4 * word);
            let b = self.byte(simd, &steps, 4 * word + 1);
            let c = self.byte(simd, &steps, 4 * word + 2);
            let d = self.byte(simd, &steps, 4 * word + 3);
            let pairs = simd.add_words(simd.add_words(a, b), simd.add_words(c, d));
            sum = simd.add_words(sum, pairs);
            let low = simd.or(a, simd.shift_left::<8>(b));
            let high = simd.or(simd.shift_left::<16>(c), simd.shift_left::<24>(d));
            // SAFETY: word is below the count.
            unsafe { to.store(simd, word, simd.or(low, high)) }
            zeros = simd.add_words(zeros, four_zeros);
        }
        let sum = simd.sub_words(sum, zeros);
        // SAFETY: the caller's promise.
        unsafe { simd.store_words(pair(simd, zero, sum), correction.cast()) }
    }
}

/// `steps / range`, or zero if the range is.
#[inline(always)]
fn inverse<S: Integers>(simd: S, steps: f32, range: S::Vector) -> S::Vector {
    let quotient = simd.div(simd.splat(steps), range);
    simd.select_less(range, simd.splat(TINY), simd.splat(0.0), quotient)
}

/// A word of two i16.
#[inline(always)]
fn pair<S: Integers>(simd: S, low: S::Words, high: S::Words) -> S::Words {
    let low = simd.and(low, simd.splat_word(0xFFFF));
    simd.or(low, simd.shift_left::<16>(high))
}
