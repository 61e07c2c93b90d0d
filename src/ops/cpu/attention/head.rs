//! The context and the probabilities of one head of one sequence.

use super::super::math::exp2_minus;
use super::super::panel::{PanelLayout, panel_tokens, unpack};
use super::super::scratch::Scratch;
use super::super::simd::{Kernel, Simd};
use super::super::threads::SharedOut;
use super::super::tile::tiles;
use super::bias::QueryBias;
use super::slice::{HeadSlice, Segments, copy, whole_panel};
use super::{AttentionInput, PanelSlice, QueryRun};
use crate::ops::AttentionBias;

/// Keys whose products are summed from zero before they join the total, which halves the rounding
/// error.
const KEY_BLOCK: usize = 128;

/// Memory of one thread: the scores, and copies of what is not a whole panel.
#[derive(Default)]
pub(super) struct AttentionBuffers {
    queries: Scratch,
    keys: Scratch,
    values: Scratch,
    scores: Scratch,
    context: Scratch,
}

/// Computes the context of some queries.
#[allow(clippy::struct_field_names, reason = "head_dim is the config's word")]
pub(super) struct HeadContext<'a> {
    pub(super) input: AttentionInput<'a>,
    pub(super) bias: Option<&'a AttentionBias>,
    pub(super) item: QueryRun,
    pub(super) head_dim: usize,
    pub(super) out: SharedOut<'a>,
    pub(super) to: PanelLayout,
    pub(super) buffers: &'a mut AttentionBuffers,
}

impl Kernel for HeadContext<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (input, item, head_dim) = (self.input, self.item, self.head_dim);
        let buffers = self.buffers;
        let key = item.keys_of(input.keys, head_dim);
        let key = key.aligned(simd, &mut buffers.keys);
        let value = item.keys_of(input.values, head_dim);
        let value = value.aligned(simd, &mut buffers.values);
        for (first, count) in item.panels::<S>() {
            let queries = input.queries.head(item.head, head_dim, first, count);
            let (panel, width) = queries.panel(simd, &mut buffers.queries);
            let scores = &mut buffers.scores.floats(key.tokens * width)[..key.tokens * width];
            let bias = item.bias(self.bias, first, head_dim);
            score(simd, panel, width, key, item, bias, scores);
            let scales = softmax(simd, scores, width, head_dim);
            let target = ContextTarget {
                out: self.out,
                layout: self.to,
                feature: item.head * head_dim,
                token: first,
                tokens: count,
            };
            let size = head_dim * width;
            let in_place = target.in_place::<S>(size);
            let buffer = buffers.context.floats(size).as_mut_ptr();
            let context = in_place.unwrap_or(buffer);
            // SAFETY: both places have `size` values, which belong to this work item alone, and mix
            // writes all of them.
            let context = unsafe {
                mix(simd, scores, width, value, head_dim, context);
                std::slice::from_raw_parts_mut(context, size)
            };
            scale_columns(simd, context, width, scales);
            if in_place.is_none() {
                target.scatter(simd, context, width);
            }
        }
    }
}

/// Computes the probabilities of some queries.
pub(super) struct HeadProbabilities<'a> {
    pub(super) queries: PanelSlice<'a>,
    pub(super) keys: PanelSlice<'a>,
    pub(super) bias: Option<&'a AttentionBias>,
    pub(super) item: QueryRun,
    pub(super) head_dim: usize,
    pub(super) out: SharedOut<'a>,
    /// Where the sequence's probabilities start, `[heads, tokens, tokens]`.
    pub(super) start: usize,
    pub(super) buffers: &'a mut AttentionBuffers,
}

impl Kernel for HeadProbabilities<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (item, head_dim, buffers) = (self.item, self.head_dim, self.buffers);
        let tokens = item.sequence.tokens;
        let key = item.keys_of(self.keys, head_dim);
        let key = key.aligned(simd, &mut buffers.keys);
        for (first, count) in item.panels::<S>() {
            let queries = self.queries.head(item.head, head_dim, first, count);
            let (panel, width) = queries.panel(simd, &mut buffers.queries);
            let scores = &mut buffers.scores.floats(key.tokens * width)[..key.tokens * width];
            let bias = item.bias(self.bias, first, head_dim);
            score(simd, panel, width, key, item, bias, scores);
            let scales = softmax(simd, scores, width, head_dim);
            scale_columns(simd, scores, width, scales);
            let row = item.head * tokens + (first - item.sequence.start);
            let to = self.out.at(self.start + row * tokens, count * tokens);
            // SAFETY: at() checked the end, and these rows belong to this work item alone. Keys
            // that are not attended to stay zero.
            unsafe {
                to.write_bytes(0, count * tokens);
                unpack(simd, scores, width, count, key.tokens, to, tokens);
            }
        }
    }
}

impl QueryRun {
    /// The keys that the queries attend to: the head's part of `of`.
    fn keys_of<'a>(&self, of: PanelSlice<'a>, head_dim: usize) -> HeadSlice<'a> {
        let sequence = self.sequence;
        let keys = match sequence.attended {
            0 => sequence.tokens,
            attended => attended,
        };
        of.head(self.head, head_dim, sequence.start, keys)
    }

    /// The queries in panels: for each its first query, and how many there are.
    #[inline(always)]
    fn panels<S: Simd>(self) -> impl Iterator<Item = (usize, usize)> {
        let each = panel_tokens::<S>();
        let firsts = (0..self.count).step_by(each);
        firsts.map(move |first| (self.first + first, each.min(self.count - first)))
    }
}

/// `scores[key, query] = bias + Σ_d queries[d, query] * key[d, key]`, or zero if nothing is
/// attended to.
#[inline(always)]
fn score<S: Simd>(
    simd: S,
    queries: &[f32],
    width: usize,
    key: HeadSlice,
    item: QueryRun,
    bias: Option<QueryBias>,
    scores: &mut [f32],
) {
    if item.sequence.attended == 0 {
        return scores.fill(0.0);
    }
    if let Some(bias) = bias {
        bias.write(simd, width, scores);
    }
    for (before, keys, segment) in key.as_keys::<S>() {
        let scores = &mut scores[before * width..][..keys * width];
        let sums = scores.as_mut_ptr();
        // SAFETY: as_keys checked its operand, and there are as many scores.
        unsafe { tiles(simd, queries, width, &[segment], keys, bias.is_none(), sums) }
    }
}

/// `context[d, query] = Σ_key probs[key, query] * value[d, key]`
///
/// # Safety
/// `context` must be writable for `head_dim * width` values.
#[inline(always)]
unsafe fn mix<S: Simd>(
    simd: S,
    probs: &[f32],
    width: usize,
    value: HeadSlice,
    head_dim: usize,
    context: *mut f32,
) {
    let mut segments = Segments::new();
    for (block, probs) in probs.chunks(KEY_BLOCK * width).enumerate() {
        value.as_values::<S>(block * KEY_BLOCK, probs.len() / width, &mut segments);
        let segments = segments.get();
        // SAFETY: as_values checked its operands, and the context has head_dim rows.
        unsafe { tiles(simd, probs, width, segments, head_dim, block == 0, context) }
    }
}

/// Replaces scores by `e^((score - max) / √head_dim)` down each column, and returns the factors
/// that make each column's sum 1.
///
/// # Shapes
/// `scores`: `[keys, width]`, width being one register's lanes or two
#[inline(always)]
fn softmax<S: Simd>(simd: S, scores: &mut [f32], width: usize, head_dim: usize) -> [S::Vector; 2] {
    // e^x is 2^(x log2 e).
    let scale = std::f32::consts::LOG2_E / (head_dim as f32).sqrt();
    if width == S::LANES {
        let [scales] = softmax_columns::<S, 1>(simd, scores, scale);
        [scales; 2]
    } else {
        softmax_columns::<S, 2>(simd, scores, scale)
    }
}

/// [`softmax`] for all columns of a row at once, so that their additions do not wait for each
/// other.
#[inline(always)]
fn softmax_columns<S: Simd, const VECTORS: usize>(
    simd: S,
    scores: &mut [f32],
    scale: f32,
) -> [S::Vector; VECTORS] {
    let width = VECTORS * S::LANES;
    let scale = simd.splat(scale);
    let max = column_maxima::<S, VECTORS>(simd, scores);
    let mut totals = [simd.splat(0.0); VECTORS];
    for block in scores.chunks_mut(KEY_BLOCK * width) {
        let mut sums = [simd.splat(0.0); VECTORS];
        for row in block.chunks_exact_mut(width) {
            for vector in 0..VECTORS {
                let row = &mut row[vector * S::LANES..][..S::LANES];
                let below = simd.mul(simd.sub(max[vector], simd.load_slice(row)), scale);
                let prob = exp2_minus(simd, simd.min(simd.splat(125.0), below));
                simd.store_slice(prob, row);
                sums[vector] = simd.add(sums[vector], prob);
            }
        }
        for vector in 0..VECTORS {
            totals[vector] = simd.add(totals[vector], sums[vector]);
        }
    }
    let mut scales = [simd.splat(0.0); VECTORS];
    for vector in 0..VECTORS {
        scales[vector] = simd.div(simd.splat(1.0), totals[vector]);
    }
    scales
}

/// The largest score of each column. Two sets of maxima take turns, because each step waits for the
/// previous one of its set.
#[inline(always)]
fn column_maxima<S: Simd, const VECTORS: usize>(simd: S, scores: &[f32]) -> [S::Vector; VECTORS] {
    let width = VECTORS * S::LANES;
    let mut maxima = [[simd.splat(f32::NEG_INFINITY); VECTORS]; 2];
    let pairs = scores.chunks_exact(2 * width);
    let last = pairs.remainder();
    for pair in pairs {
        for turn in 0..2 {
            for vector in 0..VECTORS {
                let row = &pair[(turn * VECTORS + vector) * S::LANES..];
                maxima[turn][vector] = simd.max(simd.load_slice(row), maxima[turn][vector]);
            }
        }
    }
    for row in last.chunks_exact(width) {
        for vector in 0..VECTORS {
            let row = &row[vector * S::LANES..];
            maxima[0][vector] = simd.max(simd.load_slice(row), maxima[0][vector]);
        }
    }
    let [mut one, other] = maxima;
    for vector in 0..VECTORS {
        one[vector] = simd.max(other[vector], one[vector]);
    }
    one
}

/// Multiplies each column by its scale.
#[inline(always)]
fn scale_columns<S: Simd>(simd: S, rows: &mut [f32], width: usize, scales: [S::Vector; 2]) {
    for row in rows.chunks_exact_mut(width) {
        for (values, scale) in row.chunks_exact_mut(S::LANES).zip(scales) {
            simd.store_slice(simd.mul(simd.load_slice(values), scale), values);
        }
    }
}

/// The place of some queries' context of one head in the panels of the batch.
#[derive(Clone, Copy)]
struct ContextTarget<'a> {
    out: SharedOut<'a>,
    layout: PanelLayout,
    feature: usize,
    token: usize,
    tokens: usize,
}

impl ContextTarget<'_> {
    /// The place itself if the queries are all tokens of one panel: `size` values, including the
    /// lanes without a token.
    #[inline(always)]
    fn in_place<S: Simd>(self, size: usize) -> Option<*mut f32> {
        let span = whole_panel::<S>(self.layout, self.token, self.tokens)?;
        Some(self.out.at(span.start + self.feature * span.width, size))
    }

    /// Copies `context` to its place, which may span several panels.
    ///
    /// # Shapes
    /// `context`: `[head_dim, width]`
    #[inline(always)]
    fn scatter<S: Simd>(self, simd: S, context: &[f32], width: usize) {
        for span in self.layout.spans::<S>(self.token, self.tokens) {
            for (feature, context) in (self.feature..).zip(context.chunks_exact(width)) {
                let at = self.out.at(span.start + feature * span.width, span.tokens);
                // SAFETY: at() checked the end; this head of the tokens belongs to this work item
                // alone. What was there is not read.
                let to = unsafe { std::slice::from_raw_parts_mut(at, span.tokens) };
                copy(simd, &context[span.before..][..span.tokens], to);
            }
        }
    }
}
