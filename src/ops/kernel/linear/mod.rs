//! `y = activation(x · Wᵀ + b)`, with the weights where the checkpoint has them.
//!
//! Several projections of the same `x` go in one sweep: query, key and value. A unit of work is a
//! block of rows, packed once into panels that stay in L2, against a run of output columns; the
//! columns' weights pass through L1 in groups of one tile, over all panels of the block. The source is
//! `torch.nn.functional.linear`.

use self::unit::{Columns, Packed, RowBlock, STORE_COLUMNS, Unit};
use super::math::Activation;
use super::simd::{Level, dispatch};
use super::threads::{SharedOut, for_each_unit};

mod unit;

/// f32 values of `x` in a unit's panels: 768 KB, within the L2 of Cascade Lake (1 MB).
const PANELS_FLOATS: usize = 192 * 1024;

/// Units that each thread should find at least, so that a thread held up elsewhere costs little.
const UNITS_A_THREAD: usize = 6;

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
/// Every output is summed over k in blocks of 256 from zero, the blocks added in order, then
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
