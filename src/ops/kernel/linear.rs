//! `y = activation(x · Wᵀ + b)`, with the weights where the checkpoint has them.
//!
//! Several projections of the same `x` go in one sweep: query, key and value. A unit of work is a
//! block of rows, packed once into panels that stay in L2, against a run of output columns; the
//! columns' weights pass through L1 in groups of one tile, over all panels of the block. The source is
//! `torch.nn.functional.linear`.

use super::math::{self, Activation};
use super::scratch::Scratch;
use super::simd::{Kernel, Level, Simd, dispatch};
use super::threads::{SharedOut, for_each_unit};
use super::tile::{Rows, Values, pack, padded_tokens, panel_tokens, tiles, unpack};

/// Values of k that are summed from zero before they join the total; it halves the rounding error
/// beside 768, keeps a group's weights (12 KB) in L1, and costs nothing measurable.
const K_BLOCK: usize = 256;

/// f32 values of `x` in a unit's panels: 768 KB, within the L2 of Cascade Lake (1 MB).
const PANELS_FLOATS: usize = 192 * 1024;

/// Units that each thread should find at least, so that a thread held up elsewhere costs little.
const UNITS_A_THREAD: usize = 6;

/// Columns that are summed before they are stored: a multiple of every level's tile, and whole cache
/// lines of `out` at a time, whose rows lie pages apart.
const STORE_COLUMNS: usize = 48;

/// One weight matrix and its bias.
#[derive(Clone, Copy)]
pub(crate) struct Projection<'a> {
    /// `[out_features, in_features]`, row-major.
    pub(crate) weight: &'a [f32],
    /// `[out_features]`
    pub(crate) bias: Option<&'a [f32]>,
    /// Rows of `weight`.
    pub(crate) out_features: usize,
}

/// Writes `activation(x · weightᵀ + bias)` of every projection, side by side.
///
/// Every output is summed over k in blocks of [`K_BLOCK`] from zero, the blocks added in order, then
/// the bias: whatever the number of rows and threads, so equal rows give equal bits.
///
/// # Shapes
/// `x`: `[rows, in_features]`, `out`: `[rows, sum of out_features]`
///
/// # Panics
/// If a slice has not the size that its shape asks for.
pub(crate) fn linear(
    x: &[f32],
    rows: usize,
    in_features: usize,
    projections: &[Projection<'_>],
    activation: Activation,
    out: &mut [f32],
) {
    let out_features: usize = projections
        .iter()
        .map(|projection| projection.out_features)
        .sum();
    assert!(in_features > 0, "in_features is positive");
    assert_eq!(x.len(), rows * in_features, "x is [rows, in_features]");
    assert_eq!(
        out.len(),
        rows * out_features,
        "out is [rows, out_features]"
    );
    for projection in projections {
        assert_eq!(
            projection.weight.len(),
            projection.out_features * in_features,
            "weight is [out, in]"
        );
        assert!(
            projection
                .bias
                .is_none_or(|bias| bias.len() == projection.out_features),
            "bias is [out]"
        );
    }
    let block_rows = block_rows(in_features);
    let row_blocks = rows.div_ceil(block_rows);
    let columns = column_blocks(projections, out_features, row_blocks);
    let level = Level::current();
    let out = SharedOut::new(out);
    for_each_unit(
        row_blocks * columns.len(),
        Packed::default,
        |packed, unit| {
            let first_row = unit / columns.len() * block_rows;
            let block = RowBlock {
                x,
                in_features,
                first_row,
                rows: block_rows.min(rows - first_row),
            };
            let columns = &columns[unit % columns.len()];
            dispatch(
                level,
                Unit {
                    block,
                    columns,
                    activation,
                    out,
                    out_features,
                    packed,
                },
            );
        },
    );
}

/// Rows of a unit: as many whole panels as fit, four at least so that weights are read for 128 rows.
fn block_rows(in_features: usize) -> usize {
    // 32 rows are a multiple of every level's panel.
    (PANELS_FLOATS / in_features.max(1) / 32).clamp(2, 8) * 32
}

/// A run of output columns of one projection.
struct Columns<'a> {
    projection: &'a Projection<'a>,
    /// First column in the projection.
    first: usize,
    count: usize,
    /// First column in `out`.
    out_column: usize,
}

/// Cuts the projections into runs of columns, enough for all threads but no more.
fn column_blocks<'a>(
    projections: &'a [Projection<'a>],
    out_features: usize,
    row_blocks: usize,
) -> Vec<Columns<'a>> {
    let runs = (UNITS_A_THREAD * rayon::current_num_threads()).div_ceil(row_blocks.max(1));
    let size = out_features.div_ceil(runs).next_multiple_of(STORE_COLUMNS);
    let mut blocks = Vec::new();
    let mut offset = 0;
    for projection in projections {
        for first in (0..projection.out_features).step_by(size) {
            let count = size.min(projection.out_features - first);
            blocks.push(Columns {
                projection,
                first,
                count,
                out_column: offset + first,
            });
        }
        offset += projection.out_features;
    }
    blocks
}

/// The rows of `x` that a unit multiplies.
struct RowBlock<'a> {
    x: &'a [f32],
    in_features: usize,
    first_row: usize,
    rows: usize,
}

/// A thread's panels, kept from unit to unit while the rows stay the same.
#[derive(Default)]
struct Packed {
    first_row: Option<usize>,
    panels: Scratch,
    sums: Scratch,
}

struct Unit<'a> {
    block: RowBlock<'a>,
    columns: &'a Columns<'a>,
    activation: Activation,
    out: SharedOut<'a>,
    out_features: usize,
    packed: &'a mut Packed,
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
                )
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
                        map(simd, sums, |sum| math::gelu(simd, simd.add(sum, bias)))
                    }
                    Activation::GeluTanh => {
                        map(simd, sums, |sum| math::gelu_tanh(simd, simd.add(sum, bias)))
                    }
                    Activation::Relu => map(simd, sums, |sum| {
                        simd.max(simd.splat(0.0), simd.add(sum, bias))
                    }),
                    Activation::Tanh => {
                        map(simd, sums, |sum| math::tanh(simd, simd.add(sum, bias)))
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
                    Rows { start, stride },
                )
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
