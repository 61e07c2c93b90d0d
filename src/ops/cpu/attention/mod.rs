//! Scaled dot-product attention over tokens that lie end to end.
//!
//! Works on one (sequence, head, run of queries) at a time: its queries, keys and values are copied
//! out of the batch's panels, since a sequence begins at any lane and must not depend on which. Lanes
//! run along queries; scores, probabilities and context are `[key, query]` and `[head_dim, query]`, so
//! that softmax runs down columns without crossing lanes. The source is `eager_attention_forward` of
//! transformers' BERT.

use self::head::{AttentionBuffers, Head};
use super::panel::PanelLayout;
use super::simd::{Kernel, Level, Simd, dispatch};
use super::threads::{SharedOut, for_each_unit};
use crate::ops::Sequence;

mod head;

/// Units that each thread should find at least, so that a thread held up elsewhere costs little.
const UNITS_A_THREAD: usize = 4;

/// The fewest queries of a work item, a multiple of every level's panel.
const MIN_QUERIES: usize = 32;

/// Writes the context: `softmax(query · keyᵀ / √head_dim) · value` of every sequence and head.
///
/// Padding is a query as well, as transformers computes it. A token's context depends only on its
/// sequence: the bits are the same whatever lies beside it and however many threads there are.
///
/// # Shapes
/// `qkv`: panels of `[tokens, 3 * heads * head_dim]`, query, key and value side by side;
/// `out`: panels of `[tokens, heads * head_dim]`
///
/// # Panics
/// If a slice has not the size that its shape asks for, or the sequences are not all the tokens.
pub(crate) fn attention(
    qkv: &[f32],
    sequences: &[Sequence],
    heads: usize,
    head_dim: usize,
    out: SharedOut<'_>,
) {
    let hidden = heads * head_dim;
    let to = PanelLayout {
        tokens: tokens(sequences),
        features: hidden,
    };
    let from = PanelLayout {
        features: 3 * hidden,
        ..to
    };
    assert_eq!(qkv.len(), from.size(), "qkv is [tokens, 3 * hidden]");
    assert_eq!(out.size(), to.size(), "out is [tokens, hidden]");
    let units = units(sequences, heads);
    let level = Level::current();
    for_each_unit(units.len(), AttentionBuffers::default, |buffers, unit| {
        let head = Head {
            qkv,
            unit: units[unit],
            from,
            head_dim,
            out,
            to,
            buffers,
        };
        dispatch(level, head);
    });
    dispatch(level, ClearPadding { out, panels: to });
}

/// The tokens of sequences that follow each other.
fn tokens(sequences: &[Sequence]) -> usize {
    let mut end = 0;
    for sequence in sequences {
        assert_eq!(sequence.start, end, "sequences follow each other");
        assert!(
            sequence.attended <= sequence.tokens,
            "attended tokens are tokens"
        );
        end = sequence.start + sequence.tokens;
    }
    end
}

/// Writes zero to the lanes without a token, for no head does.
struct ClearPadding<'a> {
    out: SharedOut<'a>,
    panels: PanelLayout,
}

impl Kernel for ClearPadding<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let Some(last) = self.panels.count::<S>().checked_sub(1) else {
            return;
        };
        let panel = self.panels.panel::<S>(last);
        for feature in 0..self.panels.features {
            let padding = panel.width - panel.tokens;
            let at = panel.start + feature * panel.width + panel.tokens;
            let to = self.out.at(at, padding);
            // SAFETY: at() checked the end, and all units have returned.
            unsafe { to.write_bytes(0, padding) }
        }
    }
}

/// Some queries of one head of one sequence.
#[derive(Clone, Copy)]
struct QueryRun {
    sequence: Sequence,
    head: usize,
    first: usize,
    count: usize,
}

/// Cuts the work by sequence and head, and long sequences by queries where threads would idle.
fn units(sequences: &[Sequence], heads: usize) -> Vec<QueryRun> {
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
                units.push(QueryRun {
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
