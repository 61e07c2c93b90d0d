//! `y = activation(x · Wᵀ + b)`, in f32 or in integers.
//!
//! Several projections of the same `x`, such as query, key and value, run in one pass. A work item
//! multiplies a block of panels, which stays in L2, by a run of output columns. The source is
//! `torch.nn.functional.linear`.

use std::cell::OnceCell;

use self::columns::{Columns, column_blocks};
use self::floats::FloatProduct;
pub(crate) use self::floats::FloatWeight;
use self::integers::{IntegerInput, IntegerProduct};
pub(crate) use self::integers::{IntegerWeight, Scheme};
use self::work_item::WorkItem;
use super::panel::PanelLayout;
use super::scratch::Scratch;
use super::simd::{Level, dispatch, dispatch_integers};
use super::threads::{SharedOut, for_each_item};
use crate::ops::Activation;

mod columns;
mod floats;
mod integers;
mod work_item;

/// Values of `x` in the panels of a work item, f32 or words of integers: 768 KB, within the L2 of
/// Cascade Lake (1 MB).
const PANELS_VALUES: usize = 192 * 1024;

/// A weight matrix as the kernels read it.
#[derive(Clone, Copy)]
pub(crate) enum Weight<'a> {
    Floats(FloatWeight<'a>),
    Integers(&'a IntegerWeight),
}

#[derive(Clone, Copy)]
pub(crate) struct WeightMatrix<'a> {
    /// `[out_features, in_features]`
    pub(crate) weight: Weight<'a>,
    pub(crate) bias: Option<&'a [f32]>,
    pub(crate) out_features: usize,
}

#[derive(Clone, Copy)]
enum Product<'a> {
    Floats(FloatWeight<'a>),
    Integers(&'a IntegerInput, &'a IntegerWeight),
}

/// `x` in the formats that projections take, each quantized once.
#[derive(Default)]
struct QuantizedInputs {
    int16: OnceCell<IntegerInput>,
    int8: OnceCell<IntegerInput>,
}

/// Writes `activation(x · weightᵀ + bias)` of every projection, side by side.
///
/// Every output is summed over k in blocks (in f32) or groups (in integers), which are added in
/// order, and the bias last. This order does not depend on the number of tokens or threads, so
/// equal tokens give equal bits.
///
/// # Shapes
/// `x`: panels of `[tokens, in_features]`, `out`: panels of `[tokens, sum of out_features]`
///
/// # Panics
/// If the length of a slice does not match its shape. In integers also if the weights do not all
/// of one scheme have the same format, or the level in use has changed since they were quantized.
pub(crate) fn linear(
    x: &[f32],
    from: PanelLayout,
    projections: &[WeightMatrix<'_>],
    activation: Activation,
    out: SharedOut<'_>,
) {
    let sizes = projections.iter().map(|it| it.out_features);
    let to = PanelLayout {
        tokens: from.tokens,
        features: sizes.clone().sum(),
    };
    assert!(from.features > 0, "in_features is positive");
    assert_eq!(x.len(), from.size(), "x is [tokens, in_features]");
    assert_eq!(out.size(), to.size(), "out is [tokens, out_features]");
    let quantized = QuantizedInputs::default();
    let products: Vec<_> = projections
        .iter()
        .map(|projection| projection.product(x, from, &quantized))
        .collect();
    let row_values = products.iter().map(|product| match product {
        Product::Floats(_) => from.features,
        Product::Integers(input, _) => input.row_words(),
    });
    let block_tokens = block_tokens(row_values.max().unwrap_or_default());
    let blocks = from.tokens.div_ceil(block_tokens);
    let columns = column_blocks(sizes, blocks);
    let level = Level::current();
    for_each_item(blocks * columns.len(), Scratch::default, |wide, index| {
        let first_token = index / columns.len() * block_tokens;
        let columns = columns[index % columns.len()];
        let item = WorkItem {
            first_token,
            tokens: block_tokens.min(from.tokens - first_token),
            columns,
            bias: projections[columns.projection].bias,
            activation,
            out,
            to,
        };
        match products[columns.projection] {
            Product::Floats(weight) => {
                let product = FloatProduct {
                    item,
                    x,
                    from,
                    weight,
                    wide,
                };
                dispatch(level, product);
            }
            Product::Integers(input, weight) => {
                let product = IntegerProduct {
                    item,
                    input,
                    weight,
                };
                dispatch_integers(weight.format().packing(), product);
            }
        }
    });
}

impl<'a> WeightMatrix<'a> {
    /// The operands of this projection of `x`, which is quantized once for all projections of a
    /// scheme.
    fn product(&self, x: &[f32], from: PanelLayout, quantized: &'a QuantizedInputs) -> Product<'a> {
        let bias_size = self.bias.map_or(self.out_features, <[f32]>::len);
        assert_eq!(bias_size, self.out_features, "bias is [out]");
        match self.weight {
            Weight::Floats(weight) => {
                let size = self.out_features * from.features;
                assert_eq!(weight.size(), size, "weight is [out, in]");
                Product::Floats(weight)
            }
            Weight::Integers(weight) => {
                let shape = (weight.out_features(), weight.in_features());
                let expected = (self.out_features, from.features);
                assert_eq!(shape, expected, "weight is [out, in]");
                let input = match weight.scheme() {
                    Scheme::Int16 => &quantized.int16,
                    Scheme::Int8 => &quantized.int8,
                };
                let quantize = || IntegerInput::quantize(x, from, weight.format());
                let input = input.get_or_init(quantize);
                assert_eq!(weight.format(), input.format, "a scheme has one format");
                Product::Integers(input, weight)
            }
        }
    }
}

/// Tokens of a work item: as many whole panels as fit, but at least two, so that weights are read
/// for 64 tokens.
fn block_tokens(row_values: usize) -> usize {
    // 32 tokens are a multiple of every level's panel.
    (PANELS_VALUES / row_values.max(1) / 32).clamp(2, 8) * 32
}
