//! A work item of a multiplication: a run of panels by a run of columns.

use std::ops::Range;

use super::Columns;
use crate::ops::Activation;
use crate::ops::cpu::math;
use crate::ops::cpu::panel::{Panel, PanelLayout, panel_tokens};
use crate::ops::cpu::simd::Simd;
use crate::ops::cpu::threads::SharedOut;

/// The part of the output that a work item writes, and what follows the products there.
pub(super) struct WorkItem<'a> {
    pub(super) first_token: usize,
    pub(super) tokens: usize,
    pub(super) columns: Columns,
    pub(super) bias: Option<&'a [f32]>,
    pub(super) activation: Activation,
    pub(super) out: SharedOut<'a>,
    pub(super) to: PanelLayout,
}

impl WorkItem<'_> {
    /// The indices of its panels in the batch.
    #[inline(always)]
    pub(super) fn panels<S: Simd>(&self) -> Range<usize> {
        let tokens = panel_tokens::<S>();
        self.first_token / tokens..(self.first_token + self.tokens).div_ceil(tokens)
    }

    /// Where the sums of `outputs` columns from `output` on go in a panel of the output,
    /// `[outputs, width]`.
    #[inline(always)]
    pub(super) fn sums(&self, to: Panel, output: usize, outputs: usize) -> *mut f32 {
        let column = self.columns.out_column + output;
        self.out
            .at(to.start + column * to.width, outputs * to.width)
    }

    /// Adds the bias to the sums of some columns and applies the activation, in place.
    #[inline(always)]
    pub(super) fn finish<S: Simd>(&self, simd: S, index: usize, output: usize, outputs: usize) {
        let to = self.to.panel::<S>(index);
        // SAFETY: the sums belong to this work item alone, and all of them are written.
        let sums = unsafe {
            std::slice::from_raw_parts_mut(self.sums(to, output, outputs), outputs * to.width)
        };
        for (output, sums) in (output..).zip(sums.chunks_exact_mut(to.width)) {
            let bias = self.bias;
            let bias = bias.map_or(0.0, |bias| bias[self.columns.first + output]);
            finish(simd, self.activation, simd.splat(bias), sums);
        }
    }
}

/// Replaces `sums` by `activation(sums + bias)`.
#[inline(always)]
fn finish<S: Simd>(simd: S, activation: Activation, bias: S::Vector, sums: &mut [f32]) {
    // A macro: a closure that is not inlined loses the target features.
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
