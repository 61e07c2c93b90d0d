//! Scaled dot-product attention over sequences that follow each other.
//!
//! A work item is some queries of one head of one sequence. Lanes run along queries; scores,
//! probabilities and context are `[key, query]` and `[head_dim, query]`, so that softmax runs down
//! columns without crossing lanes. Keys and values are read in place from the batch's panels. A
//! sequence may start at any lane, and its vectors must not depend on which: every sum follows the
//! order of the keys, even across panels. The source is `eager_attention_forward` of transformers'
//! BERT.

use std::sync::Arc;

use self::head::{AttentionBuffers, HeadContext, HeadProbabilities};
pub(crate) use self::slice::PanelSlice;
use super::panel::PanelLayout;
use super::simd::{Kernel, Level, Simd, dispatch};
use super::threads::{SharedOut, for_each_item};
use crate::ops::{AttentionBias, Sequence};

mod bias;
mod head;
mod slice;

/// The fewest work items for each thread, so that a delayed thread costs little.
const ITEMS_A_THREAD: usize = 4;

/// The fewest queries of a work item, a multiple of every level's panel.
const MIN_QUERIES: usize = 32;

/// The queries, keys and values of all heads.
#[derive(Clone, Copy)]
pub(crate) struct AttentionInput<'a> {
    pub(crate) queries: PanelSlice<'a>,
    pub(crate) keys: PanelSlice<'a>,
    pub(crate) values: PanelSlice<'a>,
}

/// The sequences of a batch, and what is added to their scores.
pub(crate) struct AttentionSequences {
    pub(crate) sequences: Vec<Sequence>,
    pub(crate) bias: Option<Arc<AttentionBias>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueryTokens {
    All,
    /// The first one of each sequence; the queries' panels hold no others.
    First,
}

#[derive(Clone, Copy)]
pub(crate) struct Heads {
    pub(crate) count: usize,
    pub(crate) head_dim: usize,
}

/// Writes the context: `softmax(query · keyᵀ / √head_dim + bias) · value` of every sequence and
/// head.
///
/// Padding tokens are queries as well, as in transformers. A token's context depends only on its
/// sequence: its bits do not depend on the other sequences of the batch or on the number of
/// threads.
///
/// # Shapes
/// `out`: panels of `[queries, heads * head_dim]`
///
/// # Panics
/// If the size of a slice does not match its shape, or the sequences do not cover all tokens.
pub(crate) fn attention(
    input: AttentionInput<'_>,
    AttentionSequences { sequences, bias }: &AttentionSequences,
    tokens: QueryTokens,
    heads: Heads,
    out: SharedOut<'_>,
) {
    for slice in [input.keys, input.values] {
        assert_eq!(slice.layout.tokens, end(sequences), "a key for every token");
    }
    for slice in [input.queries, input.keys, input.values] {
        assert_eq!(slice.values.len(), slice.layout.size(), "whole panels");
    }
    let to = PanelLayout {
        tokens: input.queries.layout.tokens,
        features: heads.count * heads.head_dim,
    };
    assert_eq!(
        input.values.features, to.features,
        "values are [tokens, hidden]"
    );
    assert_eq!(out.size(), to.size(), "out is [queries, hidden]");
    let items = match tokens {
        QueryTokens::All => work_items(sequences, heads.count),
        QueryTokens::First => first_queries(sequences, heads.count),
    };
    let level = Level::current();
    for_each_item(items.len(), AttentionBuffers::default, |buffers, item| {
        let context = HeadContext {
            input,
            bias: bias.as_deref(),
            item: items[item],
            head_dim: heads.head_dim,
            out,
            to,
            buffers,
        };
        dispatch(level, context);
    });
    dispatch(level, ClearPadding { out, panels: to });
}

/// Writes the probabilities: `softmax(query · keyᵀ / √head_dim + bias)` of every sequence and head;
/// zero for keys that are not attended to.
///
/// # Shapes
/// `out`: `[heads, tokens, tokens]` for each sequence in turn
///
/// # Panics
/// As [`attention`].
pub(crate) fn attention_probs(
    queries: PanelSlice<'_>,
    keys: PanelSlice<'_>,
    AttentionSequences { sequences, bias }: &AttentionSequences,
    heads: Heads,
    out: SharedOut<'_>,
) {
    for slice in [queries, keys] {
        assert_eq!(slice.layout.tokens, end(sequences), "one for every token");
        assert_eq!(slice.values.len(), slice.layout.size(), "whole panels");
    }
    let items = work_items(sequences, heads.count);
    let mut starts = vec![0; end(sequences)];
    let mut size = 0;
    for sequence in sequences {
        starts[sequence.start..][..sequence.tokens].fill(size);
        size += heads.count * sequence.tokens * sequence.tokens;
    }
    assert_eq!(out.size(), size, "out is [heads, tokens, tokens]");
    let level = Level::current();
    for_each_item(items.len(), AttentionBuffers::default, |buffers, item| {
        let probabilities = HeadProbabilities {
            queries,
            keys,
            bias: bias.as_deref(),
            item: items[item],
            head_dim: heads.head_dim,
            out,
            start: starts[items[item].first],
            buffers,
        };
        dispatch(level, probabilities);
    });
}

/// The tokens of consecutive sequences.
fn end(sequences: &[Sequence]) -> usize {
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

/// Writes zero to the lanes without a token.
struct ClearPadding<'a> {
    out: SharedOut<'a>,
    panels: PanelLayout,
}

impl Kernel for ClearPadding<'_> {
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
            // SAFETY: at() checked the end, and all work items are done.
            unsafe { to.write_bytes(0, padding) }
        }
    }
}

/// Some queries of one head of one sequence.
#[derive(Clone, Copy)]
struct QueryRun {
    sequence: Sequence,
    head: usize,
    /// The first query's token in the queries' panels.
    first: usize,
    /// Its place in the sequence.
    place: usize,
    count: usize,
}

/// Divides the work by sequence and head, and long sequences by queries if threads would idle.
fn work_items(sequences: &[Sequence], heads: usize) -> Vec<QueryRun> {
    let wanted = ITEMS_A_THREAD * rayon::current_num_threads();
    let parts = wanted.div_ceil((sequences.len() * heads).max(1));
    let mut items = Vec::new();
    for &sequence in sequences {
        let size = sequence
            .tokens
            .div_ceil(parts)
            .next_multiple_of(MIN_QUERIES);
        for head in 0..heads {
            for first in (0..sequence.tokens).step_by(size) {
                items.push(QueryRun {
                    sequence,
                    head,
                    first: sequence.start + first,
                    place: first,
                    count: size.min(sequence.tokens - first),
                });
            }
        }
    }
    items
}

/// One query of each sequence and head.
fn first_queries(sequences: &[Sequence], heads: usize) -> Vec<QueryRun> {
    let of_sequence = |(first, &sequence): (usize, &Sequence)| {
        (0..heads).map(move |head| QueryRun {
            sequence,
            head,
            first,
            place: 0,
            count: 1,
        })
    };
    sequences.iter().enumerate().flat_map(of_sequence).collect()
}
