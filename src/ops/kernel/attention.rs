//! Scaled dot-product attention over tokens that lie end to end.
//!
//! Works on one (sequence, head, run of queries) at a time: the queries become a panel, lanes along
//! queries; keys and values are read where the fused projection left them. Scores, probabilities and
//! context stay transposed, `[key, query]` and `[head_dim, query]`, so that softmax runs down columns
//! without crossing lanes. The source is `eager_attention_forward` of transformers' BERT.

use super::math::exp;
use super::scratch::Scratch;
use super::simd::{Kernel, Level, Simd, dispatch};
use super::threads::{SharedOut, for_each_unit};
use super::tile::{Rows, Values, pack, padded_tokens, panel_tokens, tiles, unpack};

/// Keys whose products are summed from zero before they join the total, to halve the rounding error.
const KEY_BLOCK: usize = 128;

/// Units that each thread should find at least, so that a thread held up elsewhere costs little.
const UNITS_A_THREAD: usize = 4;

/// Queries of a unit: at least this many, a multiple of every level's panel.
const MIN_QUERIES: usize = 32;

/// A run of tokens that attend to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// First token.
    pub start: usize,
    /// Tokens, padding included.
    pub tokens: usize,
    /// Tokens that are attended to, the first ones; the others are padding. If it is zero, every token
    /// attends to all equally, as transformers' eager attention does when its mask covers a whole row.
    pub attended: usize,
}

/// Writes the context: `softmax(query · keyᵀ / √head_dim) · value` of every sequence and head.
///
/// Padding is a query as well, as transformers computes it. A token's context depends only on its
/// sequence: the bits are the same whatever lies beside it and however many threads there are.
///
/// # Shapes
/// `qkv`: `[tokens, 3 * heads * head_dim]`, query, key and value side by side;
/// `out`: `[tokens, heads * head_dim]`
///
/// # Panics
/// If a slice has not the size that its shape asks for, or sequences overlap or go backwards.
pub(crate) fn attention(
    qkv: &[f32],
    sequences: &[Sequence],
    heads: usize,
    head_dim: usize,
    out: &mut [f32],
) {
    let hidden = heads * head_dim;
    assert_eq!(
        qkv.len(),
        3 * out.len(),
        "qkv has three values for each of out"
    );
    check(sequences, out.len() / hidden.max(1));
    let units = units(sequences, heads);
    let level = Level::current();
    let out = SharedOut::new(out);
    for_each_unit(units.len(), Buffers::default, |buffers, unit| {
        dispatch(
            level,
            Head {
                qkv,
                unit: units[unit],
                heads,
                head_dim,
                out,
                buffers,
            },
        );
    });
}

/// Asserts that the sequences are disjoint and within `tokens`.
fn check(sequences: &[Sequence], tokens: usize) {
    let mut end = 0;
    for sequence in sequences {
        assert!(
            sequence.start >= end,
            "sequences are in order and do not overlap"
        );
        assert!(
            sequence.attended <= sequence.tokens,
            "attended tokens are tokens"
        );
        end = sequence.start + sequence.tokens;
    }
    assert!(end <= tokens, "sequences end within the tokens");
}

/// Some queries of one head of one sequence.
#[derive(Clone, Copy)]
struct Queries {
    sequence: Sequence,
    head: usize,
    first: usize,
    count: usize,
}

/// Cuts the work by sequence and head, and long sequences by queries where threads would idle.
fn units(sequences: &[Sequence], heads: usize) -> Vec<Queries> {
    let wanted = UNITS_A_THREAD * rayon::current_num_threads();
    let parts = wanted.div_ceil((sequences.len() * heads).max(1));
    let mut units = Vec::new();
    for &sequence in sequences {
        let size = sequence
            .tokens
            .div_ceil(parts)
            .next_multiple_of(MIN_QUERIES);
        for head in 0..heads {
            for first in (0..sequence.tokens).step_by(size) {
                units.push(Queries {
                    sequence,
                    head,
                    first,
                    count: size.min(sequence.tokens - first),
                });
            }
        }
    }
    units
}

/// A thread's panels.
#[derive(Default)]
struct Buffers {
    queries: Scratch,
    scores: Scratch,
    context: Scratch,
}

struct Head<'a> {
    qkv: &'a [f32],
    unit: Queries,
    heads: usize,
    head_dim: usize,
    out: SharedOut<'a>,
    buffers: &'a mut Buffers,
}

impl Kernel for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        for first in (0..self.unit.count).step_by(panel_tokens::<S>()) {
            let queries = panel_tokens::<S>().min(self.unit.count - first);
            self.panel(simd, self.unit.first + first, queries);
        }
    }
}

impl Head<'_> {
    /// The context of `queries` queries from `first` on.
    #[inline(always)]
    fn panel<S: Simd>(&mut self, simd: S, first: usize, queries: usize) {
        let Self {
            qkv,
            unit: Queries { sequence, head, .. },
            heads,
            head_dim,
            out,
            ref mut buffers,
        } = *self;
        let (hidden, stride) = (heads * head_dim, 3 * heads * head_dim);
        let width = padded_tokens::<S>(queries);
        let keys = if sequence.attended == 0 {
            sequence.tokens
        } else {
            sequence.attended
        };
        let query_panel = &mut buffers.queries.floats(head_dim * width)[..head_dim * width];
        let scores = &mut buffers.scores.floats(keys * width)[..keys * width];
        let context = buffers.context.floats(head_dim * width);

        pack(
            simd,
            &qkv[(sequence.start + first) * stride + head * head_dim..],
            stride,
            queries,
            head_dim,
            query_panel,
        );
        if sequence.attended == 0 {
            scores.fill(0.0);
        } else {
            let rows = &qkv[sequence.start * stride + hidden + head * head_dim..];
            assert!(rows.len() >= (keys - 1) * stride + head_dim);
            let key = Values {
                start: rows.as_ptr(),
                output_stride: stride,
                k_stride: 1,
                prefetch: 0,
            };
            // SAFETY: key rows 0..keys of head_dim values exist, by the assertion.
            unsafe { tiles(simd, query_panel, width, key, keys, true, scores) }
        }
        let totals = softmax(simd, scores, width, 1.0 / (head_dim as f32).sqrt());
        let rows = &qkv[sequence.start * stride + 2 * hidden + head * head_dim..];
        assert!(rows.len() >= (keys - 1) * stride + head_dim);
        for (block, probs) in scores.chunks(KEY_BLOCK * width).enumerate() {
            let start = rows[block * KEY_BLOCK * stride..].as_ptr();
            let value = Values {
                start,
                output_stride: 1,
                k_stride: stride,
                prefetch: 0,
            };
            // SAFETY: the block's value rows of head_dim values exist, by the assertion.
            unsafe { tiles(simd, probs, width, value, head_dim, block == 0, context) }
        }
        divide(simd, &mut context[..head_dim * width], width, totals);
        let start = out.at(
            (sequence.start + first) * hidden + head * head_dim,
            (queries - 1) * hidden + head_dim,
        );
        // SAFETY: at() checked the end of the last row; the unit's rows and columns are its own.
        unsafe {
            unpack(
                simd,
                context,
                queries,
                head_dim,
                Rows {
                    start,
                    stride: hidden,
                },
            )
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
