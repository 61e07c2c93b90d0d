//! One work item of a multiplication: a run of panels by a run of columns.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::super::math;
use super::super::panel::{Panel, PanelLayout, panel_tokens};
use super::super::scratch::Scratch;
use super::super::simd::{Kernel, Simd};
use super::super::threads::SharedOut;
use super::super::tile::{OutputStride, StridedOperand, TileSegment, tiles};
use super::{Columns, Weight, WeightMatrix};
use crate::ops::Activation;

/// Values of k that are summed from zero before they join the total.
///
/// The base shape's mean error against float64 (`agreement` of `tests/bench/run`) is 4.3e-7 with
/// 256 of them, 3.5e-7 with 128 and 3.0e-7 with 64 (`PyTorch`: 3.9e-7). 128 take up to 1 % more
/// time than 256, 64 take 3 to 4 % more.
pub(super) const K_BLOCK: usize = 128;

/// A cache line.
const LINE_BYTES: usize = 64;

/// One work item.
pub(super) struct WorkItem<'a> {
    /// The panels of all tokens.
    pub(super) x: &'a [f32],
    pub(super) from: PanelLayout,
    /// Its tokens: whole panels.
    pub(super) first_token: usize,
    pub(super) tokens: usize,
    pub(super) projection: &'a WeightMatrix<'a>,
    pub(super) columns: Columns,
    pub(super) activation: Activation,
    pub(super) out: SharedOut<'a>,
    pub(super) to: PanelLayout,
    /// A thread's copy of narrow weights.
    pub(super) wide: &'a mut Scratch,
}

impl Kernel for WorkItem<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        for output in (0..self.columns.count).step_by(S::TILE_OUTPUTS) {
            let outputs = S::TILE_OUTPUTS.min(self.columns.count - output);
            let in_features = self.from.features;
            for k in (0..in_features).step_by(K_BLOCK) {
                self.multiply(simd, output, outputs, k, K_BLOCK.min(in_features - k));
            }
            self.finish(simd, output, outputs);
        }
    }
}

impl WorkItem<'_> {
    /// Its panels, by their number among all.
    #[inline(always)]
    fn panels<S: Simd>(&self) -> std::ops::Range<usize> {
        let tokens = panel_tokens::<S>();
        self.first_token / tokens..(self.first_token + self.tokens).div_ceil(tokens)
    }

    /// Where the columns from `output` on of a panel begin in the output, and their values.
    #[inline(always)]
    fn sums(&self, to: Panel, output: usize, outputs: usize) -> *mut f32 {
        let column = self.columns.out_column + output;
        self.out
            .at(to.start + column * to.width, outputs * to.width)
    }

    /// `out[output, token] (+)= Σ_k x[token, k] * weight[output, k]` over one block of k.
    #[inline(always)]
    fn multiply<S: Simd>(
        &mut self,
        simd: S,
        output: usize,
        outputs: usize,
        k: usize,
        depth: usize,
    ) {
        let panels = self.panels::<S>();
        let values = self.values(simd, output, outputs, k, depth);
        for index in panels.clone() {
            let (from, to) = (self.from.panel::<S>(index), self.to.panel::<S>(index));
            // The first panel that uses these weights prefetches those of the next outputs.
            let prefetch = if index == panels.start {
                values.prefetch
            } else {
                0
            };
            let operand = StridedOperand { prefetch, ..values };
            let segment = TileSegment { operand, depth };
            let panel = &self.x[from.start + k * from.width..][..depth * from.width];
            let sums = self.sums(to, output, outputs);
            // SAFETY: there are values for these outputs and `depth` of k; the sums belong to this
            // work item alone, and written from k = 0 on.
            unsafe { tiles(simd, panel, from.width, &[segment], outputs, k == 0, sums) }
        }
    }

    /// The weights of some outputs and a block of k: in place, or widened to f32.
    #[inline(always)]
    fn values<S: Simd>(
        &mut self,
        simd: S,
        output: usize,
        outputs: usize,
        k: usize,
        depth: usize,
    ) -> StridedOperand<OutputStride> {
        let in_features = self.from.features;
        let first = (self.columns.first + output) * in_features + k;
        let rows = WeightRows {
            first,
            stride: in_features,
            count: outputs,
            depth,
            next: S::TILE_OUTPUTS * in_features,
        };
        let wide = self.wide.floats(outputs * depth);
        match self.projection.weight {
            Weight::F32(weight) => {
                let size = (outputs - 1) * in_features + depth;
                return StridedOperand {
                    start: weight[first..][..size].as_ptr(),
                    strides: OutputStride(in_features),
                    prefetch: rows.next,
                };
            }
            Weight::F16(weight) => rows.widen(simd, weight, from_f16, wide),
            Weight::Bf16(weight) => rows.widen(simd, weight, from_bf16, wide),
        }
        StridedOperand {
            start: wide.as_ptr(),
            strides: OutputStride(depth),
            prefetch: 0,
        }
    }
}

/// Some rows of a weight and a block of their k.
struct WeightRows {
    /// First number of the first row.
    first: usize,
    /// Distance from one row to the next.
    stride: usize,
    count: usize,
    depth: usize,
    /// Distance from each number to one that will be read soon.
    next: usize,
}

impl WeightRows {
    /// Copies the rows next to each other, as f32.
    #[inline(always)]
    fn widen<S: Simd, T>(
        &self,
        simd: S,
        weight: &[T],
        convert: impl Fn(&[T], &mut [f32]),
        wide: &mut [f32],
    ) {
        for (row, wide) in wide
            .chunks_exact_mut(self.depth)
            .take(self.count)
            .enumerate()
        {
            let from = &weight[self.first + row * self.stride..][..self.depth];
            for at in (0..size_of_val(from)).step_by(LINE_BYTES) {
                let next = from.as_ptr().wrapping_add(self.next);
                simd.prefetch(next.wrapping_byte_add(at).cast());
            }
            convert(from, wide);
        }
    }
}

#[inline(always)]
fn from_f16(from: &[f16], wide: &mut [f32]) {
    from.convert_to_f32_slice(wide);
}

#[inline(always)]
fn from_bf16(from: &[bf16], wide: &mut [f32]) {
    for (wide, from) in wide.iter_mut().zip(from) {
        *wide = f32::from_bits(u32::from(from.to_bits()) << 16);
    }
}

impl WorkItem<'_> {
    /// Adds the bias and applies the activation, in place.
    #[inline(always)]
    fn finish<S: Simd>(&self, simd: S, output: usize, outputs: usize) {
        for index in self.panels::<S>() {
            let to = self.to.panel::<S>(index);
            // SAFETY: the sums belong to this work item alone, and all of them are written.
            let sums = unsafe {
                std::slice::from_raw_parts_mut(self.sums(to, output, outputs), outputs * to.width)
            };
            for (output, sums) in (output..).zip(sums.chunks_exact_mut(to.width)) {
                let bias = self.projection.bias;
                let bias = bias.map_or(0.0, |bias| bias[self.columns.first + output]);
                finish(simd, self.activation, simd.splat(bias), sums);
            }
        }
    }
}

/// Replaces `sums` by `activation(sums + bias)`.
#[inline(always)]
pub(crate) fn finish<S: Simd>(simd: S, activation: Activation, bias: S::Vector, sums: &mut [f32]) {
    // No closure: one that is not inlined loses the target features.
    macro_rules! replace {
        ($sum:ident => $value:expr) => {
            for sums in sums.chunks_exact_mut(S::LANES) {
                let $sum = simd.add(simd.load_slice(sums), bias);
                simd.store_slice($value, sums);
            }
        };
    }
    match activation {
        Activation::None => replace!(sum => sum),
        Activation::Gelu => replace!(sum => math::gelu(simd, sum)),
        Activation::GeluTanh => replace!(sum => math::gelu_tanh(simd, sum)),
        Activation::Relu => replace!(sum => simd.max(simd.splat(0.0), sum)),
        Activation::Tanh => replace!(sum => math::tanh(simd, sum)),
    }
}
