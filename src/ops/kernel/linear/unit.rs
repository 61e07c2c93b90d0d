//! The multiplication of one unit: a run of panels against a run of columns.

use super::super::math::{self, Activation};
use super::super::panel::{Panel, Panels};
use super::super::simd::{Kernel, Simd};
use super::super::threads::SharedOut;
use super::super::tile::{Values, tiles};
use super::Projection;

/// Values of k that are summed from zero before they join the total; it halves the rounding error
/// beside 768, keeps a tile's weights (12 KB) in L1, and costs nothing measurable.
pub(super) const K_BLOCK: usize = 256;

/// A run of output columns of one projection.
pub(super) struct Columns<'a> {
    pub(super) projection: &'a Projection<'a>,
    /// First column in the projection.
    pub(super) first: usize,
    pub(super) count: usize,
    /// First column in the output.
    pub(super) out_column: usize,
}

/// One unit of work.
pub(super) struct Unit<'a> {
    /// The panels of all tokens.
    pub(super) x: &'a [f32],
    pub(super) from: Panels,
    /// The unit's tokens: whole panels.
    pub(super) first_token: usize,
    pub(super) tokens: usize,
    pub(super) columns: &'a Columns<'a>,
    pub(super) activation: Activation,
    pub(super) out: SharedOut<'a>,
    pub(super) to: Panels,
}

impl Kernel for Unit<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
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

impl Unit<'_> {
    /// The unit's panels by their place among all.
    #[inline(always)]
    fn panels<S: Simd>(&self) -> std::ops::Range<usize> {
        let tokens = super::super::panel::panel_tokens::<S>();
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
    fn multiply<S: Simd>(&self, simd: S, output: usize, outputs: usize, k: usize, depth: usize) {
        let in_features = self.from.features;
        let first = self.columns.first + output;
        let weight =
            &self.columns.projection.weight[first * in_features..][..outputs * in_features];
        for index in self.panels::<S>() {
            let (from, to) = (self.from.panel::<S>(index), self.to.panel::<S>(index));
            // The first panel to use these weights fetches the next outputs' ones.
            let prefetch = if index == self.panels::<S>().start {
                S::TILE_OUTPUTS * in_features
            } else {
                0
            };
            let values = Values {
                start: weight[k..].as_ptr(),
                output_stride: in_features,
                k_stride: 1,
                prefetch,
            };
            let panel = &self.x[from.start + k * from.width..][..depth * from.width];
            let sums = self.sums(to, output, outputs);
            // SAFETY: `weight` has these outputs, and k + depth is within in_features; the sums are
            // this unit's own, and written from k = 0 on.
            unsafe { tiles(simd, panel, from.width, values, outputs, k == 0, sums) }
        }
    }

    /// Adds the bias and applies the activation, in place.
    #[inline(always)]
    fn finish<S: Simd>(&self, simd: S, output: usize, outputs: usize) {
        for index in self.panels::<S>() {
            let to = self.to.panel::<S>(index);
            // SAFETY: the sums are this unit's own, and all of them are written.
            let sums = unsafe {
                std::slice::from_raw_parts_mut(self.sums(to, output, outputs), outputs * to.width)
            };
            for (output, sums) in (output..).zip(sums.chunks_exact_mut(to.width)) {
                let bias = self.columns.projection.bias;
                let bias = bias.map_or(0.0, |bias| bias[self.columns.first + output]);
                finish(simd, self.activation, simd.splat(bias), sums);
            }
        }
    }
}

/// Replaces `sums` by `activation(sums + bias)`.
#[inline(always)]
fn finish<S: Simd>(simd: S, activation: Activation, bias: S::Vector, sums: &mut [f32]) {
    match activation {
        Activation::None => map(simd, sums, |sum| simd.add(sum, bias)),
        Activation::Gelu => map(simd, sums, |sum| math::gelu(simd, simd.add(sum, bias))),
        Activation::GeluTanh => {
            map(simd, sums, |sum| math::gelu_tanh(simd, simd.add(sum, bias)));
        }
        Activation::Relu => map(simd, sums, |sum| {
            simd.max(simd.splat(0.0), simd.add(sum, bias))
        }),
        Activation::Tanh => map(simd, sums, |sum| math::tanh(simd, simd.add(sum, bias))),
    }
}

/// Replaces whole registers of `values` by `function` of them.
#[inline(always)]
fn map<S: Simd>(simd: S, values: &mut [f32], function: impl Fn(S::Vector) -> S::Vector) {
    for values in values.chunks_exact_mut(S::LANES) {
        simd.store_slice(function(simd.load_slice(values)), values);
    }
}
