//! The context of one head of one sequence.

use super::super::math::exp;
use super::super::panel::{PanelLayout, padded_tokens, panel_tokens};
use super::super::scratch::Scratch;
use super::super::simd::{Kernel, Simd};
use super::super::threads::SharedOut;
use super::super::tile::{StridedOperand, tiles};
use super::QueryRun;
use crate::ops::Sequence;

/// Keys whose products are summed from zero before they join the total, to halve the rounding error.
const KEY_BLOCK: usize = 128;

/// A thread's copies of what it works on, each token's place counted from its sequence's beginning.
#[derive(Default)]
pub(super) struct AttentionBuffers {
    queries: Scratch,
    keys: Scratch,
    values: Scratch,
    scores: Scratch,
    context: Scratch,
}

#[allow(clippy::struct_field_names, reason = "head_dim is the config's word")]
pub(super) struct Head<'a> {
    pub(super) qkv: &'a [f32],
    pub(super) unit: QueryRun,
    pub(super) from: PanelLayout,
    pub(super) head_dim: usize,
    pub(super) out: SharedOut<'a>,
    pub(super) to: PanelLayout,
    pub(super) buffers: &'a mut AttentionBuffers,
}

impl Kernel for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self {
            qkv,
            unit,
            from,
            head_dim,
            out,
            to,
            buffers,
        } = self;
        let QueryRun { sequence, head, .. } = unit;
        let keys = sequence.keys();
        let part = |part: usize| HeadSlice {
            values: qkv,
            panels: from,
            first: part * to.features + head * head_dim,
            features: head_dim,
        };
        let key = buffers.keys.floats(keys * head_dim);
        part(1).gather(simd, sequence.start, keys, key, keys);
        let value = buffers.values.floats(keys * head_dim);
        part(2).gather(simd, sequence.start, keys, value, keys);
        for first in (0..unit.count).step_by(panel_tokens::<S>()) {
            let queries = panel_tokens::<S>().min(unit.count - first);
            let first = sequence.start + unit.first + first;
            let width = padded_tokens::<S>(queries);
            let panel = &mut buffers.queries.floats(head_dim * width)[..head_dim * width];
            let scores = &mut buffers.scores.floats(keys * width)[..keys * width];
            let context = &mut buffers.context.floats(head_dim * width)[..head_dim * width];
            // Lanes beyond the queries are computed too, from whatever was there before.
            part(0).gather(simd, first, queries, panel, width);
            score(simd, panel, width, key, sequence, scores);
            let totals = softmax(simd, scores, width, 1.0 / (head_dim as f32).sqrt());
            mix(simd, scores, width, value, context);
            divide(simd, context, width, totals);
            let target = ContextTarget {
                out,
                panels: to,
                feature: head * head_dim,
                token: first,
                tokens: queries,
            };
            target.scatter(simd, context, width);
        }
    }
}

impl Sequence {
    /// Keys that a query of the sequence mixes.
    fn keys(&self) -> usize {
        if self.attended == 0 {
            self.tokens
        } else {
            self.attended
        }
    }
}

/// The features of a head's queries, keys or values in the panels of the batch.
#[derive(Clone, Copy)]
struct HeadSlice<'a> {
    values: &'a [f32],
    panels: PanelLayout,
    /// Its first feature.
    first: usize,
    features: usize,
}

impl HeadSlice<'_> {
    /// Copies `tokens` tokens from `first` on next to each other, wherever panels part them.
    ///
    /// # Shapes
    /// `to`: `[features, stride]`
    #[inline(always)]
    fn gather<S: Simd>(&self, simd: S, first: usize, tokens: usize, to: &mut [f32], stride: usize) {
        for span in self.panels.spans::<S>(first, tokens) {
            for feature in 0..self.features {
                let from = span.start + (self.first + feature) * span.width;
                let from = &self.values[from..][..span.tokens];
                let to = &mut to[feature * stride + span.before..][..span.tokens];
                copy(simd, from, to);
            }
        }
    }
}

/// Copies a few values.
#[inline(always)]
fn copy<S: Simd>(simd: S, from: &[f32], to: &mut [f32]) {
    for (from, to) in from.chunks(S::LANES).zip(to.chunks_mut(S::LANES)) {
        simd.store_slice(simd.load_slice(from), to);
    }
}

/// `scores[key, query] = Σ_d queries[d, query] * key[d, key]`, or zero if nothing is attended to.
#[inline(always)]
fn score<S: Simd>(
    simd: S,
    queries: &[f32],
    width: usize,
    key: &[f32],
    sequence: Sequence,
    scores: &mut [f32],
) {
    if sequence.attended == 0 {
        return scores.fill(0.0);
    }
    let (keys, head_dim) = (scores.len() / width, queries.len() / width);
    assert!(key.len() >= keys * head_dim);
    let values = StridedOperand {
        start: key.as_ptr(),
        output_stride: 1,
        k_stride: keys,
        prefetch: 0,
    };
    // SAFETY: head_dim rows of `keys` values exist, by the assertion, and as many scores.
    unsafe {
        tiles(
            simd,
            queries,
            width,
            values,
            keys,
            true,
            scores.as_mut_ptr(),
        );
    }
}

/// `context[d, query] = Σ_key probs[key, query] * value[d, key]`
#[inline(always)]
fn mix<S: Simd>(simd: S, probs: &[f32], width: usize, value: &[f32], context: &mut [f32]) {
    let (keys, head_dim) = (probs.len() / width, context.len() / width);
    assert!(value.len() >= keys * head_dim);
    for (block, probs) in probs.chunks(KEY_BLOCK * width).enumerate() {
        let values = StridedOperand {
            start: value[block * KEY_BLOCK..].as_ptr(),
            output_stride: keys,
            k_stride: 1,
            prefetch: 0,
        };
        // SAFETY: the block's keys of head_dim rows exist, by the assertion, and the context too.
        unsafe {
            tiles(
                simd,
                probs,
                width,
                values,
                head_dim,
                block == 0,
                context.as_mut_ptr(),
            );
        }
    }
}

/// Replaces scores by `e^(scale * (score - max))` down each column and returns the columns' sums.
///
/// # Shapes
/// `scores`: `[keys, width]`; the sums: `[width]`, as one register or two
#[inline(always)]
fn softmax<S: Simd>(simd: S, scores: &mut [f32], width: usize, scale: f32) -> [S::Vector; 2] {
    let mut totals = [simd.splat(0.0); 2];
    let scale = simd.splat(scale);
    for (vector, total) in totals.iter_mut().enumerate().take(width / S::LANES) {
        let first = vector * S::LANES;
        let mut max = simd.splat(f32::NEG_INFINITY);
        for row in scores.chunks_exact(width) {
            max = simd.max(simd.load_slice(&row[first..]), max);
        }
        for block in scores.chunks_mut(KEY_BLOCK * width) {
            let mut sum = simd.splat(0.0);
            for row in block.chunks_exact_mut(width) {
                let row = &mut row[first..first + S::LANES];
                let prob = exp(simd, simd.mul(simd.sub(simd.load_slice(row), max), scale));
                simd.store_slice(prob, row);
                sum = simd.add(sum, prob);
            }
            *total = simd.add(*total, sum);
        }
    }
    totals
}

/// Divides each column by its total.
#[inline(always)]
fn divide<S: Simd>(simd: S, context: &mut [f32], width: usize, totals: [S::Vector; 2]) {
    for row in context.chunks_exact_mut(width) {
        for (values, total) in row.chunks_exact_mut(S::LANES).zip(totals) {
            simd.store_slice(simd.div(simd.load_slice(values), total), values);
        }
    }
}

/// Where a head's context of some queries goes in the panels of the batch.
#[derive(Clone, Copy)]
struct ContextTarget<'a> {
    out: SharedOut<'a>,
    panels: PanelLayout,
    feature: usize,
    token: usize,
    tokens: usize,
}

impl ContextTarget<'_> {
    /// Copies `context` there, wherever panels part the queries.
    ///
    /// # Shapes
    /// `context`: `[head_dim, width]`
    #[inline(always)]
    fn scatter<S: Simd>(self, simd: S, context: &[f32], width: usize) {
        for span in self.panels.spans::<S>(self.token, self.tokens) {
            for (feature, context) in (self.feature..).zip(context.chunks_exact(width)) {
                let at = self.out.at(span.start + feature * span.width, span.tokens);
                // SAFETY: at() checked the end; the tokens of the head are this unit's own. What was
                // there is not read.
                let to = unsafe { std::slice::from_raw_parts_mut(at, span.tokens) };
                copy(simd, &context[span.before..][..span.tokens], to);
            }
        }
    }
}
