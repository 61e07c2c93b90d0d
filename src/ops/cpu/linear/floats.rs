//! A work item in f32, with the weights where the checkpoint has them.
//!
//! Weights pass through L1 one tile at a time, for all panels of the work item.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::WorkItem;
use crate::ops::cpu::panel::PanelLayout;
use crate::ops::cpu::scratch::Scratch;
use crate::ops::cpu::simd::{Kernel, Simd};
use crate::ops::cpu::tile::{OutputStride, StridedOperand, TileSegment, tiles};

/// Values of k that are summed from zero before they join the total.
///
/// The base shape's mean error against float64 (`agreement` of `tests/bench/run`) is 4.3e-7 with
/// 256 of them, 3.5e-7 with 128 and 3.0e-7 with 64 (`PyTorch`: 3.9e-7). 128 take up to 1 % more
/// time than 256, 64 take 3 to 4 % more.
const K_BLOCK: usize = 128;

const LINE_BYTES: usize = 64;

/// Weights as the checkpoint stores them. The multiplication is in f32, which holds every f16 and
/// bf16 exactly; narrow weights save time only if most of it goes into reading them.
#[derive(Clone, Copy)]
pub(crate) enum FloatWeight<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
    Bf16(&'a [bf16]),
}

impl FloatWeight<'_> {
    pub(super) fn size(self) -> usize {
        match self {
            Self::F32(weight) => weight.len(),
            Self::F16(weight) => weight.len(),
            Self::Bf16(weight) => weight.len(),
        }
    }
}

pub(super) struct FloatProduct<'a> {
    pub(super) item: WorkItem<'a>,
    /// The panels of all tokens.
    pub(super) x: &'a [f32],
    pub(super) from: PanelLayout,
    /// The whole projection's.
    pub(super) weight: FloatWeight<'a>,
    /// The thread's copy of narrow weights.
    pub(super) wide: &'a mut Scratch,
}

impl Kernel for FloatProduct<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let in_features = self.from.features;
        for output in (0..self.item.columns.count).step_by(S::TILE_OUTPUTS) {
            let outputs = S::TILE_OUTPUTS.min(self.item.columns.count - output);
            for k in (0..in_features).step_by(K_BLOCK) {
                self.multiply(simd, output, outputs, k, K_BLOCK.min(in_features - k));
            }
            for index in self.item.panels::<S>() {
                self.item.finish(simd, index, output, outputs);
            }
        }
    }
}

impl FloatProduct<'_> {
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
        let panels = self.item.panels::<S>();
        let values = self.values(simd, output, outputs, k, depth);
        for index in panels.clone() {
            let from = self.from.panel::<S>(index);
            let to = self.item.to.panel::<S>(index);
            // The first panel that uses these weights prefetches the weights of the next outputs.
            let prefetch = if index == panels.start {
                values.prefetch
            } else {
                0
            };
            let operand = StridedOperand { prefetch, ..values };
            let segment = TileSegment { operand, depth };
            let panel = &self.x[from.start + k * from.width..][..depth * from.width];
            let sums = self.item.sums(to, output, outputs);
            // SAFETY: there are values for these outputs and `depth` of k; the sums belong to this
            // work item alone, and are written first at k = 0.
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
        let first = (self.item.columns.first + output) * in_features + k;
        let rows = WeightRows {
            first,
            stride: in_features,
            count: outputs,
            depth,
            next: S::TILE_OUTPUTS * in_features,
        };
        let wide = self.wide.floats(outputs * depth);
        match self.weight {
            FloatWeight::F32(weight) => {
                let size = (outputs - 1) * in_features + depth;
                return StridedOperand {
                    start: weight[first..][..size].as_ptr(),
                    strides: OutputStride(in_features),
                    prefetch: rows.next,
                };
            }
            FloatWeight::F16(weight) => rows.widen(simd, weight, from_f16, wide),
            FloatWeight::Bf16(weight) => rows.widen(simd, weight, from_bf16, wide),
        }
        StridedOperand {
            start: wide.as_ptr(),
            strides: OutputStride(depth),
            prefetch: 0,
        }
    }
}

/// A block of k in some rows of a weight.
struct WeightRows {
    /// Where the first row's block starts.
    first: usize,
    /// Distance from one row to the next.
    stride: usize,
    count: usize,
    depth: usize,
    /// Distance from each value to one that will be read soon.
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
