//! Scaled dot-product attention over tokens that lie end to end.
//!
//! Works on one (sequence, head, run of queries) at a time: the queries become a panel, lanes along
//! queries; keys and values are read where the fused projection left them. Scores, probabilities and
//! context stay transposed, `[key, query]` and `[head_dim, query]`, so that softmax runs down columns
//! without crossing lanes. The source is `eager_attention_forward` of transformers' BERT.

use self::head::{Buffers, Head};
use super::simd::{Level, dispatch};
use super::threads::{SharedOut, for_each_unit};

mod head;

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
    /// attends to all equally, as transformers' eager attention does under such a mask; its SDPA
    /// gives a context of zero instead.
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
