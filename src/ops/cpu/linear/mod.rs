//! `y = activation(x · Wᵀ + b)`, with the weights where the checkpoint has them.
//!
//! Several projections of the same `x`, such as query, key and value, run in one pass. A work item
//! multiplies a block of panels, which stays in L2, by a run of output columns, whose weights pass
//! through L1 one tile at a time for all panels of the block. The source is
//! `torch.nn.functional.linear`.

use half::{bf16, f16};

pub(crate) use self::columns::{Columns, column_blocks};
use self::work_item::WorkItem;
pub(crate) use self::work_item::finish;
use super::panel::PanelLayout;
use super::scratch::Scratch;
use super::simd::{Level, dispatch};
use super::threads::{SharedOut, for_each_unit};
use crate::ops::Activation;

mod columns;
mod work_item;

/// f32 values of `x` in the panels of a work item: 768 KB, within the L2 of Cascade Lake (1 MB).
const PANELS_FLOATS: usize = 192 * 1024;

/// Weights as the checkpoint stores them. The multiplication is in f32, which holds every f16 and
/// bf16 exactly; narrow weights save time only if most of it goes into reading them.
#[derive(Clone, Copy)]
pub(crate) enum Weight<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
    Bf16(&'a [bf16]),
}

impl Weight<'_> {
    /// Numbers of the matrix.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::F32(weight) => weight.len(),
            Self::F16(weight) => weight.len(),
            Self::Bf16(weight) => weight.len(),
        }
    }
}

/// One weight matrix and its bias.
#[derive(Clone, Copy)]
pub(crate) struct WeightMatrix<'a> {
    /// `[out_features, in_features]`, row-major.
    pub(crate) weight: Weight<'a>,
    /// `[out_features]`
    pub(crate) bias: Option<&'a [f32]>,
    /// Rows of `weight`.
    pub(crate) out_features: usize,
}

/// Writes `activation(x · weightᵀ + bias)` of every projection, side by side.
///
/// Every output is summed over k in blocks of 128 from zero, the blocks added in order, then the
/// bias. This order does not depend on the number of tokens or threads, so equal tokens give equal
/// bits.
///
/// # Shapes
/// `x`: panels of `[tokens, in_features]`, `out`: panels of `[tokens, sum of out_features]`
///
/// # Panics
/// If the size of a slice does not match its shape.
pub(crate) fn linear(
    x: &[f32],
    from: PanelLayout,
    projections: &[WeightMatrix<'_>],
    activation: Activation,
    out: SharedOut<'_>,
) {
    let PanelLayout {
        tokens,
        features: in_features,
    } = from;
    let to = PanelLayout {
        tokens,
        features: projections.iter().map(|it| it.out_features).sum(),
    };
    assert!(in_features > 0, "in_features is positive");
    assert_eq!(x.len(), from.size(), "x is [tokens, in_features]");
    assert_eq!(out.size(), to.size(), "out is [tokens, out_features]");
    for projection in projections {
        assert_eq!(
            projection.weight.size(),
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
    let block_tokens = block_tokens(in_features);
    let blocks = tokens.div_ceil(block_tokens);
    let sizes = projections.iter().map(|it| it.out_features);
    let columns = column_blocks(sizes, blocks);
    let level = Level::current();
    for_each_unit(blocks * columns.len(), Scratch::default, |wide, unit| {
        let first_token = unit / columns.len() * block_tokens;
        let columns = columns[unit % columns.len()];
        let unit = WorkItem {
            x,
            from,
            first_token,
            tokens: block_tokens.min(tokens - first_token),
            projection: &projections[columns.projection],
            columns,
            activation,
            out,
            to,
            wide,
        };
        dispatch(level, unit);
    });
}

/// Tokens of a work item: as many whole panels as fit, but at least two, so that weights are read
/// for 64 tokens.
fn block_tokens(in_features: usize) -> usize {
    // 32 tokens are a multiple of every level's panel.
    (PANELS_FLOATS / in_features.max(1) / 32).clamp(2, 8) * 32
}
