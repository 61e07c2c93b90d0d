//! The layer norm of a sum, which follows both halves of a BERT layer.
//!
//! Lanes run along tokens, so no sum crosses lanes. The source is "Layer Normalization" (Ba et al.
//! 2016), `torch.nn.LayerNorm`: biased variance.

use super::panel::{Panel, PanelLayout};
use super::simd::{Kernel, Level, Simd, dispatch};
use super::threads::{SharedOut, for_each_item};

/// Below this many values, about 10 µs of work, a second thread costs more than it saves.
const MIN_PARALLEL: usize = 32 * 1024;

/// Features that are summed from zero before they join the total, which reduces the rounding error.
const FEATURE_BLOCK: usize = 32;

const MAX_WIDTH: usize = 32;

#[derive(Clone, Copy)]
pub(crate) struct NormParameters<'a> {
    /// `LayerNorm.weight`, `[hidden]`
    pub(crate) gamma: &'a [f32],
    /// `LayerNorm.bias`, `[hidden]`
    pub(crate) beta: &'a [f32],
    pub(crate) eps: f32,
}

/// Writes `norm(x + residual)`.
///
/// # Shapes
/// `x`, `residual`, `out`: panels of `[tokens, hidden]`
///
/// # Panics
/// If the size of a slice does not match its shape.
pub(crate) fn add_layer_norm(
    x: &[f32],
    residual: &[f32],
    norm: NormParameters<'_>,
    tokens: usize,
    out: SharedOut<'_>,
) {
    let panels = norm.panels(tokens);
    assert_eq!(x.len(), panels.size(), "x is [tokens, hidden]");
    assert_eq!(residual.len(), x.len(), "residual is [tokens, hidden]");
    assert_eq!(out.size(), x.len(), "out is [tokens, hidden]");
    for_each_part(panels, |index| {
        let kernel = AddNorm {
            terms: [x, residual],
            norm,
            panels,
            index,
            out,
        };
        dispatch(Level::current(), kernel);
    });
}

impl NormParameters<'_> {
    /// The layout of `tokens` tokens.
    ///
    /// # Panics
    /// If gamma and beta differ in size or are empty.
    pub(super) fn panels(&self, tokens: usize) -> PanelLayout {
        let features = self.gamma.len();
        assert!(
            features > 0 && self.beta.len() == features,
            "gamma, beta are [hidden]"
        );
        PanelLayout { tokens, features }
    }
}

/// Calls `work(part)` for each part of [`MAX_WIDTH`] tokens, in parallel if it pays.
pub(super) fn for_each_part(panels: PanelLayout, work: impl Fn(usize) + Sync) {
    let count = panels.tokens.div_ceil(MAX_WIDTH);
    if panels.size() < MIN_PARALLEL {
        return (0..count).for_each(work);
    }
    for_each_item(count, || (), |(), index| work(index));
}

/// The level's panels in part `index` of [`MAX_WIDTH`] tokens.
#[inline(always)]
pub(super) fn panels_of_part<S: Simd>(
    panels: PanelLayout,
    index: usize,
) -> impl Iterator<Item = Panel> {
    let each = MAX_WIDTH / super::panel::panel_tokens::<S>();
    let end = panels.count::<S>().min((index + 1) * each);
    (index * each..end).map(move |index| panels.panel::<S>(index))
}

struct AddNorm<'a> {
    terms: [&'a [f32]; 2],
    norm: NormParameters<'a>,
    panels: PanelLayout,
    index: usize,
    out: SharedOut<'a>,
}

impl Kernel for AddNorm<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let [x, residual] = self.terms;
        for panel in panels_of_part::<S>(self.panels, self.index) {
            let size = panel.width * self.panels.features;
            let terms = [&x[panel.start..][..size], &residual[panel.start..][..size]];
            let to = self.out.at(panel.start, size);
            for at in (0..size).step_by(S::LANES) {
                let sum = simd.add(
                    simd.load_slice(&terms[0][at..]),
                    simd.load_slice(&terms[1][at..]),
                );
                // SAFETY: the panel consists of whole registers and belongs to this work item
                // alone.
                unsafe { simd.store(sum, to.add(at)) }
            }
            // SAFETY: all of it is written, and the panel belongs to this work item alone.
            let out = unsafe { std::slice::from_raw_parts_mut(to, size) };
            normalize(simd, self.norm, out, panel.width);
        }
    }
}

/// Normalizes the tokens of one panel in place.
///
/// The first mean is only a guess; the second pass finds its error and corrects mean and variance.
/// Both are then exact to about one rounding, however large the token's offset.
#[inline(always)]
pub(super) fn normalize<S: Simd>(
    simd: S,
    norm: NormParameters<'_>,
    panel: &mut [f32],
    width: usize,
) {
    for lane in (0..width).step_by(S::LANES) {
        let (guess, left, scale) = moments(simd, norm, panel, width, lane);
        for (feature, values) in panel.chunks_exact_mut(width).enumerate() {
            let values = &mut values[lane..lane + S::LANES];
            let distance = simd.sub(simd.sub(simd.load_slice(values), guess), left);
            let normal = simd.mul(distance, scale);
            let (gamma, beta) = (norm.gamma[feature], norm.beta[feature]);
            simd.store_slice(
                simd.fma(normal, simd.splat(gamma), simd.splat(beta)),
                values,
            );
        }
    }
}

/// For each token of the register at `lane`: its mean in two parts, and the reciprocal of its
/// standard deviation.
#[inline(always)]
fn moments<S: Simd>(
    simd: S,
    norm: NormParameters<'_>,
    panel: &[f32],
    width: usize,
    lane: usize,
) -> (S::Vector, S::Vector, S::Vector) {
    let size = norm.gamma.len() as f64;
    let zero = simd.splat(0.0);
    let [sum, _] = lane_sums(simd, panel, width, lane, zero);
    let guess = simd.mul(sum, simd.splat((1.0 / size) as f32));
    let [left, squares] = lane_sums(simd, panel, width, lane, guess);
    let (mut lefts, mut scales) = ([0.0; MAX_WIDTH], [0.0; MAX_WIDTH]);
    simd.store_slice(left, &mut lefts);
    simd.store_slice(squares, &mut scales);
    // In f64, because an error here affects all values of the token.
    for (left, scale) in lefts.iter_mut().zip(&mut scales).take(S::LANES) {
        let mean = f64::from(*left) / size;
        let variance = (f64::from(*scale) / size - mean * mean).max(0.0);
        *left = mean as f32;
        *scale = (1.0 / (variance + f64::from(norm.eps)).sqrt()) as f32;
    }
    (guess, simd.load_slice(&lefts), simd.load_slice(&scales))
}

/// The sums of the distances of each token's values from `mean`, and of their squares.
#[inline(always)]
fn lane_sums<S: Simd>(
    simd: S,
    panel: &[f32],
    width: usize,
    lane: usize,
    mean: S::Vector,
) -> [S::Vector; 2] {
    let mut totals = [simd.splat(0.0); 2];
    for block in panel.chunks(FEATURE_BLOCK * width) {
        let mut sums = [[simd.splat(0.0); 2]; 4];
        for (feature, values) in block.chunks_exact(width).enumerate() {
            let distance = simd.sub(simd.load_slice(&values[lane..]), mean);
            let [sum, squares] = &mut sums[feature % 4];
            *sum = simd.add(*sum, distance);
            *squares = simd.fma(distance, distance, *squares);
        }
        for (part, total) in totals.iter_mut().enumerate() {
            let [a, b, c, d] = [0, 1, 2, 3].map(|sum| sums[sum][part]);
            *total = simd.add(*total, simd.add(simd.add(a, b), simd.add(c, d)));
        }
    }
    totals
}
