//! The multiplication of one unit: a block of rows against a run of columns.

use super::super::math::{self, Activation};
use super::super::panel::{OutRows, pack, padded_tokens, panel_tokens, unpack};
use super::super::scratch::Scratch;
use super::super::simd::{Kernel, Simd};
use super::super::threads::SharedOut;
use super::super::tile::{Values, tiles};
use super::Projection;

/// Values of k that are summed from zero before they join the total; it halves the rounding error
/// beside 768, keeps a group's weights (12 KB) in L1, and costs nothing measurable.
pub(super) const K_BLOCK: usize = 256;

/// Columns that are summed before they are stored: a multiple of every level's tile, and whole cache
/// lines of `out` at a time, whose rows lie pages apart.
pub(super) const STORE_COLUMNS: usize = 48;

/// A run of output columns of one projection.
pub(super) struct Columns<'a> {
    pub(super) projection: &'a Projection<'a>,
    /// First column in the projection.
    pub(super) first: usize,
    pub(super) count: usize,
    /// First column in `out`.
    pub(super) out_column: usize,
}

/// The rows of `x` that a unit multiplies.
pub(super) struct RowBlock<'a> {
    pub(super) x: &'a [f32],
    pub(super) in_features: usize,
    pub(super) first_row: usize,
    pub(super) rows: usize,
}

/// A thread's panels, kept from unit to unit while the rows stay the same.
#[derive(Default)]
pub(super) struct Packed {
    first_row: Option<usize>,
    panels: Scratch,
    sums: Scratch,
}

pub(super) struct Unit<'a> {
    pub(super) block: RowBlock<'a>,
    pub(super) columns: &'a Columns<'a>,
    pub(super) activation: Activation,
    pub(super) out: SharedOut<'a>,
    pub(super) out_features: usize,
    pub(super) packed: &'a mut Packed,
}

impl Kernel for Unit<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self {
            block,
            columns,
            activation,
            out,
            out_features,
            packed,
        } = self;
        let padded = padded_tokens::<S>(block.rows);
        let panels = packed.panels.floats(padded * block.in_features);
        let sums = packed.sums.floats(padded * STORE_COLUMNS);
        if packed.first_row != Some(block.first_row) {
            block.pack(simd, panels);
            packed.first_row = Some(block.first_row);
        }
        for column in (0..columns.count).step_by(STORE_COLUMNS) {
            let outputs = STORE_COLUMNS.min(columns.count - column);
            let group = columns.group(column, outputs, block.in_features);
            block.multiply(simd, panels, group, sums);
            block.finish(simd, sums, group, activation);
            // SAFETY: rows and columns of a unit are its own, and within `out` by its size.
            unsafe {
                block.store(
                    simd,
                    sums,
                    outputs,
                    out,
                    out_features,
                    columns.out_column + column,
                );
            }
        }
    }
}

/// The weights and bias of the outputs that are stored together.
#[derive(Clone, Copy)]
struct Group<'a> {
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
    outputs: usize,
}

impl Columns<'_> {
    #[inline(always)]
    fn group(&self, column: usize, outputs: usize, in_features: usize) -> Group<'_> {
        let first = self.first + column;
        let weight = &self.projection.weight[first * in_features..][..outputs * in_features];
        let bias = self.projection.bias.map(|bias| &bias[first..][..outputs]);
        Group {
            weight,
            bias,
            outputs,
        }
    }
}

impl RowBlock<'_> {
    /// First row within the block and rows of each panel.
    #[inline(always)]
    fn panels<S: Simd>(&self) -> impl Iterator<Item = (usize, usize)> + use<S> {
        let rows = self.rows;
        (0..rows)
            .step_by(panel_tokens::<S>())
            .map(move |first| (first, panel_tokens::<S>().min(rows - first)))
    }

    /// Transposes the rows of `x` into panels, one after the other.
    #[inline(always)]
    fn pack<S: Simd>(&self, simd: S, panels: &mut [f32]) {
        for (first, rows) in self.panels::<S>() {
            let from = &self.x[(self.first_row + first) * self.in_features..];
            pack(
                simd,
                from,
                self.in_features,
                rows,
                self.in_features,
                &mut panels[first * self.in_features..],
            );
        }
    }

    /// `sums[panel][output, token] = Σ_k x[token, k] * weight[output, k]`, block of k by block.
    #[inline(always)]
    fn multiply<S: Simd>(&self, simd: S, panels: &[f32], group: Group<'_>, sums: &mut [f32]) {
        for output in (0..group.outputs).step_by(S::TILE_OUTPUTS) {
            let outputs = S::TILE_OUTPUTS.min(group.outputs - output);
            for k in (0..self.in_features).step_by(K_BLOCK) {
                let depth = K_BLOCK.min(self.in_features - k);
                let start = group.weight[output * self.in_features + k..].as_ptr();
                for (first, rows) in self.panels::<S>() {
                    // The first panel to use these weights fetches the next outputs' ones.
                    let prefetch = if first == 0 {
                        S::TILE_OUTPUTS * self.in_features
                    } else {
                        0
                    };
                    let values = Values {
                        start,
                        output_stride: self.in_features,
                        k_stride: 1,
                        prefetch,
                    };
                    let width = padded_tokens::<S>(rows);
                    let panel = &panels[first * self.in_features + k * width..][..depth * width];
                    let sums = &mut sums[first * group.outputs + output * width..];
                    // SAFETY: the group has these outputs, and k + depth is within in_features.
                    unsafe { tiles(simd, panel, width, values, outputs, k == 0, sums) }
                }
            }
        }
    }

    /// Adds the bias and applies the activation, in place.
    #[inline(always)]
    fn finish<S: Simd>(&self, simd: S, sums: &mut [f32], group: Group<'_>, activation: Activation) {
        for (first, rows) in self.panels::<S>() {
            let width = padded_tokens::<S>(rows);
            for output in 0..group.outputs {
                let sums = &mut sums[first * group.outputs + output * width..][..width];
                let bias = simd.splat(group.bias.map_or(0.0, |bias| bias[output]));
                match activation {
                    Activation::None => map(simd, sums, |sum| simd.add(sum, bias)),
                    Activation::Gelu => {
                        map(simd, sums, |sum| math::gelu(simd, simd.add(sum, bias)));
                    }
                    Activation::GeluTanh => {
                        map(simd, sums, |sum| math::gelu_tanh(simd, simd.add(sum, bias)));
                    }
                    Activation::Relu => map(simd, sums, |sum| {
                        simd.max(simd.splat(0.0), simd.add(sum, bias))
                    }),
                    Activation::Tanh => {
                        map(simd, sums, |sum| math::tanh(simd, simd.add(sum, bias)));
                    }
                }
            }
        }
    }

    /// Transposes the sums of all panels to rows of `out`.
    ///
    /// # Safety
    /// No other thread may use columns `column..column + outputs` of the block's rows.
    #[inline(always)]
    unsafe fn store<S: Simd>(
        &self,
        simd: S,
        sums: &[f32],
        outputs: usize,
        out: SharedOut<'_>,
        stride: usize,
        column: usize,
    ) {
        for (first, rows) in self.panels::<S>() {
            let start = out.at(
                (self.first_row + first) * stride + column,
                (rows - 1) * stride + outputs,
            );
            // SAFETY: at() checked the last row's end; the caller promises that the part is alone.
            unsafe {
                unpack(
                    simd,
                    &sums[first * outputs..],
                    rows,
                    outputs,
                    OutRows { start, stride },
                );
            }
        }
    }
}

/// Replaces whole registers of `values` by `function` of them.
#[inline(always)]
fn map<S: Simd>(simd: S, values: &mut [f32], function: impl Fn(S::Vector) -> S::Vector) {
    for values in values.chunks_exact_mut(S::LANES) {
        simd.store_slice(function(simd.load_slice(values)), values);
    }
}
