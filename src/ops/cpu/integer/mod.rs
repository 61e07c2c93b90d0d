//! `y = activation(x · Wᵀ + b)` in integers: `--dtype int16` and `--dtype int8`.
//!
//! Weights are quantized when they are loaded, x once a linear: each output and each token has a
//! scale for every group of k. The products of a group are summed in i32, exactly, whatever the
//! instructions; the groups' sums are then scaled and added in f32, k upwards, by a multiplication
//! and an addition that every level rounds alike. So the same x gives the same bits on every
//! machine, and a token's bits do not depend on its neighbours.
//!
//! Schemes, over all-MiniLM-L6-v2's real weights with 223 texts against float64 (1 - the worst
//! token's cosine, and the worst cosine of mean-pooled vectors):
//!
//! | scheme | worst token | worst mean |
//! | --- | --- | --- |
//! | `PyTorch` bfloat16 | 3.1e-4 | 0.99986 |
//! | int16, groups of 64, 128 (chosen), 384 | 6.7e-7, 1.5e-6, 4.8e-6 | 0.999999 |
//! | int8, symmetric weights, groups of 32 | 1.3e-3 | 0.99909 |
//! | int8, zero points on both sides, groups of 32 | 1.1e-3 | 0.99902 |
//! | the same, query, key and value in int16, groups of 32 (chosen) | 6.6e-4 | 0.99949 |
//! | the same, groups of 48 | 7.4e-4 | 0.99945 |
//! | the same, groups of 64 | 1.1e-3 | 0.99933 |
//!
//! Details of the rounding move these figures by a tenth, and the worst token of groups of 48
//! between 7e-4 and 1.0e-3.

mod format;
mod group;
mod input;
mod tile;
mod weight;
mod work_item;

pub(crate) use self::format::Scheme;
use self::input::IntegerInput;
pub(crate) use self::weight::IntegerWeight;
use self::work_item::IntegerWorkItem;
use super::linear::column_blocks;
use super::panel::PanelLayout;
use super::simd::dispatch_integers;
use super::threads::{SharedOut, for_each_unit};
use crate::ops::Activation;

/// One quantized weight matrix and its bias.
#[derive(Clone, Copy)]
pub(crate) struct IntegerMatrix<'a> {
    pub(crate) weight: &'a IntegerWeight,
    /// `[out_features]`
    pub(crate) bias: Option<&'a [f32]>,
}

/// Words of `x` in a unit's panels: 768 KB, as much as the multiplication in f32 takes.
const PANELS_WORDS: usize = 192 * 1024;

/// Writes `activation(x · weightᵀ + bias)` of every projection, side by side.
///
/// # Shapes
/// `x`: panels of `[tokens, in_features]`, `out`: panels of `[tokens, sum of out_features]`
///
/// # Panics
/// If a slice has not the size that its shape asks for, if the weights are quantized in several
/// ways, or if the level in use has changed since they were.
pub(crate) fn integer_linear(
    x: &[f32],
    from: PanelLayout,
    projections: &[IntegerMatrix<'_>],
    activation: Activation,
    out: SharedOut<'_>,
) {
    let to = PanelLayout {
        tokens: from.tokens,
        features: projections.iter().map(|it| it.weight.out_features()).sum(),
    };
    assert_eq!(x.len(), from.size(), "x is [tokens, in_features]");
    assert_eq!(out.size(), to.size(), "out is [tokens, out_features]");
    let Some(first) = projections.first() else {
        return;
    };
    let format = first.weight.format();
    for IntegerMatrix { weight, bias } in projections {
        assert_eq!(weight.format(), format, "all weights are quantized alike");
        assert_eq!(weight.in_features(), from.features, "weight is [out, in]");
        assert!(
            bias.is_none_or(|bias| bias.len() == weight.out_features()),
            "bias is [out]"
        );
    }
    let input = IntegerInput::quantize(x, from, format);
    let block_tokens =
        (PANELS_WORDS / format.row_words(from.features).max(1) / 32).clamp(2, 8) * 32;
    let blocks = from.tokens.div_ceil(block_tokens);
    let sizes = projections.iter().map(|it| it.weight.out_features());
    let columns = column_blocks(sizes, blocks);
    for_each_unit(
        blocks * columns.len(),
        || (),
        |(), unit| {
            let first_token = unit / columns.len() * block_tokens;
            let columns = columns[unit % columns.len()];
            let item = IntegerWorkItem {
                input: &input,
                first_token,
                tokens: block_tokens.min(from.tokens - first_token),
                projection: projections[columns.projection],
                columns,
                activation,
                out,
                to,
            };
            dispatch_integers(format.packing(), item);
        },
    );
}
