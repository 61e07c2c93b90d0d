//! `x` as integers: quantized once for all outputs, per token and group of k.

use super::format::{Format, MAX_GROUP, Scheme};
use super::group::{BYTE_OFFSET, LARGEST_INT8, LARGEST_INT16, TINY};
use super::rotation::rotate_lanes;
use crate::ops::cpu::buffer::AlignedValues;
use crate::ops::cpu::panel::{PanelLayout, panel_tokens};
use crate::ops::cpu::simd::{IntegerKernel, Integers, Level, Products, dispatch_integers};
use crate::ops::cpu::threads::{SharedOut, for_each_item};

/// The tokens of a batch as integers, in panels.
///
/// A panel holds its words `[row_words, width]`, then the scales `[groups, width]`.
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
    /// Lanes: one register's or two.
    pub(super) width: usize,
}

impl IntegerInput {
    /// # Shapes
    /// `x`: panels of `[tokens, features]`
    pub(crate) fn quantize(x: &[f32], from: PanelLayout, format: Format) -> Self {
        let PanelLayout { tokens, features } = from;
        let layout = PanelLayout {
            tokens,
            features: format.row_words(features) + format.groups(features),
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
        // SAFETY: the kernel writes every word and scale of every panel.
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
        let (words, scales) = values.split_at(self.row_words() * width);
        IntegerPanel {
            words,
            scales,
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
    fn run<S: Integers, P: Products<S>>(self, simd: S, _: P) {
        let (format, features) = (self.format, self.from.features);
        let (from, to) = (
            self.from.panel::<S>(self.index),
            self.to.panel::<S>(self.index),
        );
        assert!(self.index * panel_tokens::<S>() < self.from.tokens);
        let width = from.width;
        let words = self.out.at(to.start, self.to.features * width);
        let row_words = format.row_words(features);
        let mut room = [simd.splat(0.0); MAX_GROUP];
        for lane in (0..width).step_by(S::LANES) {
            for group in 0..format.groups(features) {
                let first = group * format.group;
                let count = format.group.min(features - first);
                for k in 0..count {
                    let at = from.start + (first + k) * width + lane;
                    room[k] = simd.load_slice(&self.x[at..][..S::LANES]);
                }
                for k in count..format.group {
                    room[k] = simd.splat(0.0);
                }
                let first_word = group * format.group_words();
                // SAFETY: the words of the group and its scale are in this panel.
                unsafe {
                    let to = GroupWords {
                        words: words.add(first_word * width + lane),
                        width,
                        count: format.group_words().min(row_words - first_word),
                    };
                    let scale = words.add((row_words + group) * width + lane);
                    quantize_lanes::<S, P>(simd, &mut room[..format.group], format, to, scale);
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

/// Quantizes one group of each lane's token into its words and its scale. The rotation overwrites
/// the values.
///
/// # Safety
/// `to` must be writable for its words, and `scale` for a register.
#[inline(always)]
unsafe fn quantize_lanes<S: Integers, P: Products<S>>(
    simd: S,
    values: &mut [S::Vector],
    format: Format,
    to: GroupWords,
    scale: *mut f32,
) {
    let most = match format.scheme {
        Scheme::Int16 => LARGEST_INT16,
        Scheme::Int8 => {
            rotate_lanes(simd, values, format.rotation);
            LARGEST_INT8
        }
    };
    let sign = simd.splat_word(i32::MAX);
    let mut largest = simd.splat_word(0);
    for value in values.iter() {
        // The bits of absolute values have the order of the values, with NaN above all.
        largest = simd.max_words(largest, simd.and(simd.as_words(*value), sign));
    }
    let largest = simd.as_floats(largest);
    let quotient = simd.div(simd.splat(most), largest);
    let inverse = simd.select_less(largest, simd.splat(TINY), simd.splat(0.0), quotient);
    // SAFETY: the caller's promise.
    unsafe { simd.store(simd.mul(largest, simd.splat(1.0 / most)), scale) }
    let packed = values.chunks_exact(P::PACKED);
    for (word, values) in packed.take(to.count).enumerate() {
        let packed = match *values {
            [a, b] => pair(simd, integer(simd, a, inverse), integer(simd, b, inverse)),
            [a, b, c, d] => {
                let (a, b) = (byte(simd, a, inverse), byte(simd, b, inverse));
                let (c, d) = (byte(simd, c, inverse), byte(simd, d, inverse));
                let low = simd.or(a, simd.shift_left::<8>(b));
                let high = simd.or(simd.shift_left::<16>(c), simd.shift_left::<24>(d));
                simd.or(low, high)
            }
            _ => simd.splat_word(0),
        };
        // SAFETY: word is below the count.
        unsafe { simd.store_words(packed, to.words.add(word * to.width).cast()) }
    }
}

#[inline(always)]
fn integer<S: Integers>(simd: S, value: S::Vector, inverse: S::Vector) -> S::Words {
    simd.round(simd.mul(value, inverse))
}

#[inline(always)]
fn byte<S: Integers>(simd: S, value: S::Vector, inverse: S::Vector) -> S::Words {
    simd.add_words(integer(simd, value, inverse), simd.splat_word(BYTE_OFFSET))
}

/// A word of two i16.
#[inline(always)]
fn pair<S: Integers>(simd: S, low: S::Words, high: S::Words) -> S::Words {
    let low = simd.and(low, simd.splat_word(0xFFFF));
    simd.or(low, simd.shift_left::<16>(high))
}
