//! The context of one head of one sequence.

use super::super::math::exp;
use super::super::panel::{OutRows, pack, padded_tokens, panel_tokens, unpack};
use super::super::scratch::Scratch;
use super::super::simd::{Kernel, Simd};
use super::super::threads::SharedOut;
use super::super::tile::{Values, tiles};
use super::{Queries, Sequence};

/// Keys whose products are summed from zero before they join the total, to halve the rounding error.
const KEY_BLOCK: usize = 128;

/// A thread's panels, and the keys and values of its head.
#[derive(Default)]
pub(super) struct Buffers {
    queries: Scratch,
    scores: Scratch,
    context: Scratch,
    keys: Scratch,
    values: Scratch,
}

#[allow(clippy::struct_field_names, reason = "head_dim is the config's word")]
pub(super) struct Head<'a> {
    pub(super) qkv: &'a [f32],
    pub(super) unit: Queries,
    pub(super) heads: usize,
    pub(super) head_dim: usize,
    pub(super) out: SharedOut<'a>,
    pub(super) buffers: &'a mut Buffers,
}

/// The keys or the values of a head: rows of `head_dim`, `stride` apart.
#[derive(Clone, Copy)]
struct Rows<'a> {
    values: &'a [f32],
    stride: usize,
}

impl Kernel for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self {
            qkv,
            unit,
            heads,
            head_dim,
            out,
            buffers,
        } = self;
        let Queries { sequence, head, .. } = unit;
        let hidden = heads * head_dim;
        let part = |part: usize| Rows {
            values: &qkv[sequence.start * 3 * hidden + part * hidden + head * head_dim..],
            stride: 3 * hidden,
        };
        let (mut key, mut value) = (part(1), part(2));
        if unit.count > panel_tokens::<S>() {
            // Rows lie pages apart: worth gathering once if they are read for several panels.
            key = gather(key, sequence.keys(), head_dim, &mut buffers.keys);
            value = gather(value, sequence.keys(), head_dim, &mut buffers.values);
        }
        for first in (0..unit.count).step_by(panel_tokens::<S>()) {
            let queries = panel_tokens::<S>().min(unit.count - first);
            let first = unit.first + first;
            let width = padded_tokens::<S>(queries);
            let panel = &mut buffers.queries.floats(head_dim * width)[..head_dim * width];
            let scores =
                &mut buffers.scores.floats(sequence.keys() * width)[..sequence.keys() * width];
            let context = &mut buffers.context.floats(head_dim * width)[..head_dim * width];
            pack(
                simd,
                &part(0).values[first * 3 * hidden..],
                3 * hidden,
                queries,
                head_dim,
                panel,
            );
            score(simd, panel, width, key, sequence, scores);
            let totals = softmax(simd, scores, width, 1.0 / (head_dim as f32).sqrt());
            mix(simd, scores, width, value, head_dim, context);
            divide(simd, context, width, totals);
            let start = (sequence.start + first) * hidden + head * head_dim;
            let start = out.at(start, (queries - 1) * hidden + head_dim);
            // SAFETY: at() checked the end of the last row; the unit's rows and columns are its own.
            unsafe {
                unpack(
                    simd,
                    context,
                    queries,
                    head_dim,
                    OutRows {
                        start,
                        stride: hidden,
                    },
                );
            }
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

/// Copies `count` rows next to each other.
#[inline(always)]
fn gather<'a>(from: Rows<'_>, count: usize, head_dim: usize, to: &'a mut Scratch) -> Rows<'a> {
    let values = to.floats(count * head_dim);
    for (row, to) in values.chunks_exact_mut(head_dim).take(count).enumerate() {
        to.copy_from_slice(&from.values[row * from.stride..][..head_dim]);
    }
    Rows {
        values,
        stride: head_dim,
    }
}

/// `scores[key, query] = Σ_d queries[d, query] * key[key, d]`, or zero if nothing is attended to.
#[inline(always)]
fn score<S: Simd>(
    simd: S,
    queries: &[f32],
    width: usize,
    key: Rows<'_>,
    sequence: Sequence,
    scores: &mut [f32],
) {
    if sequence.attended == 0 {
        return scores.fill(0.0);
    }
    let (keys, head_dim) = (scores.len() / width, queries.len() / width);
    assert!(key.values.len() >= (keys - 1) * key.stride + head_dim);
    let values = Values {
        start: key.values.as_ptr(),
        output_stride: key.stride,
        k_stride: 1,
        prefetch: 0,
    };
    // SAFETY: key rows 0..keys of head_dim values exist, by the assertion.
    unsafe { tiles(simd, queries, width, values, keys, true, scores) }
}

/// `context[d, query] = Σ_key probs[key, query] * value[key, d]`
#[inline(always)]
fn mix<S: Simd>(
    simd: S,
    probs: &[f32],
    width: usize,
    value: Rows<'_>,
    head_dim: usize,
    context: &mut [f32],
) {
    assert!(value.values.len() >= (probs.len() / width - 1) * value.stride + head_dim);
    for (block, probs) in probs.chunks(KEY_BLOCK * width).enumerate() {
        let start = value.values[block * KEY_BLOCK * value.stride..].as_ptr();
        let values = Values {
            start,
            output_stride: 1,
            k_stride: value.stride,
            prefetch: 0,
        };
        // SAFETY: the block's value rows of head_dim values exist, by the assertion.
        unsafe { tiles(simd, probs, width, values, head_dim, block == 0, context) }
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
