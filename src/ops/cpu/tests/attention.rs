//! `attention`.

use std::mem::MaybeUninit;

use std::sync::Arc;

use super::super::attention::{
    AttentionInput, AttentionSequences, Heads, PanelSlice, QueryTokens, attention, attention_probs,
};
use super::super::oracle::{self, values};
use super::super::panel::PanelLayout;
use super::super::threads::SharedOut;
use super::{at_each_level, bits, largest_error, to_panels, to_rows, with_threads, written};
use crate::ops::{AttentionBias, Sequence};

/// Lengths with every remainder of a panel, a padded sequence, one that attends to nothing.
fn sequences() -> (Vec<Sequence>, usize) {
    let lengths = [
        (1, 1),
        (5, 5),
        (16, 16),
        (17, 17),
        (31, 20),
        (33, 33),
        (64, 1),
        (3, 0),
        (150, 140),
    ];
    let mut start = 0;
    let mut sequences = Vec::new();
    for (tokens, attended) in lengths {
        sequences.push(Sequence {
            start,
            tokens,
            attended,
        });
        start += tokens;
    }
    (sequences, start)
}

/// The sequences without a bias of their scores, and with one.
fn with_and_without_bias(
    sequences: &[Sequence],
    heads: usize,
) -> impl Iterator<Item = AttentionSequences> {
    let bias = AttentionBias::new(heads, 150, oracle::attention_bias);
    let biases = [None, Some(Arc::new(bias))].into_iter();
    biases.map(|bias| AttentionSequences {
        sequences: sequences.to_vec(),
        bias,
    })
}

fn without_bias(sequences: &[Sequence]) -> AttentionSequences {
    AttentionSequences {
        sequences: sequences.to_vec(),
        bias: None,
    }
}

/// Rows in, rows out.
fn contexts(
    qkv: &[f32],
    sequences: &AttentionSequences,
    heads: usize,
    head_dim: usize,
) -> Vec<f32> {
    let hidden = heads * head_dim;
    let tokens = qkv.len() / 3 / hidden;
    let panels = to_panels(qkv, 3 * hidden);
    let (input, heads) = input(&panels, tokens, heads, head_dim);
    let out = written(tokens, hidden, |out| {
        attention(input, sequences, QueryTokens::All, heads, out);
    });
    to_rows(&out, tokens, hidden)
}

fn input(
    panels: &[f32],
    tokens: usize,
    heads: usize,
    head_dim: usize,
) -> (AttentionInput<'_>, Heads) {
    let features = heads * head_dim;
    let part = |part: usize| PanelSlice {
        values: panels,
        layout: PanelLayout {
            tokens,
            features: 3 * features,
        },
        feature: part * features,
        features,
    };
    let input = AttentionInput {
        queries: part(0),
        keys: part(1),
        values: part(2),
    };
    let heads = Heads {
        count: heads,
        head_dim,
    };
    (input, heads)
}

/// `[heads, tokens, tokens]` of each sequence.
fn probabilities(
    qkv: &[f32],
    sequences: &AttentionSequences,
    heads: usize,
    head_dim: usize,
) -> Vec<f32> {
    let hidden = heads * head_dim;
    let panels = to_panels(qkv, 3 * hidden);
    let (input, of) = input(&panels, qkv.len() / 3 / hidden, heads, head_dim);
    let pairs: usize = sequences
        .sequences
        .iter()
        .map(|it| it.tokens * it.tokens)
        .sum();
    let mut out = vec![MaybeUninit::new(f32::NAN); heads * pairs];
    let shared = SharedOut::new(&mut out);
    attention_probs(input.queries, input.keys, sequences, of, shared);
    // SAFETY: it was all initialized.
    let out = out.into_iter().map(|it| unsafe { it.assume_init() });
    out.collect()
}

#[test]
fn attention_is_within_rounding_of_the_oracle() {
    at_each_level(|level| {
        for (heads, head_dim) in [(1, 1), (3, 12), (2, 64), (2, 33)] {
            let (sequences, tokens) = sequences();
            // Scores up to about 20, so that softmax is far from uniform.
            let qkv: Vec<f32> = values(tokens * 3 * heads * head_dim, 4)
                .iter()
                .map(|value| value * 3.0)
                .collect();
            for sequences in with_and_without_bias(&sequences, heads) {
                let out = contexts(&qkv, &sequences, heads, head_dim);
                let expected = oracle::attention(&qkv, &sequences, heads, head_dim);
                let error = largest_error(&out, &expected);
                // Scores carry about 20 * 6e-8 * a few of error, and that is the probabilities'
                // relative error.
                assert!(
                    error < 1.5e-5,
                    "{level:?} {heads} heads of {head_dim}: {error:e}"
                );
            }
        }
    });
}

#[test]
fn attention_depends_on_its_own_sequence_only() {
    at_each_level(|level| {
        for (heads, head_dim) in [(3, 12), (2, 64)] {
            let hidden = heads * head_dim;
            let (sequences, tokens) = sequences();
            let qkv = values(tokens * 3 * hidden, 5);
            let run = |qkv: &[f32], sequences: &[Sequence], threads| {
                bits(&with_threads(threads, || {
                    contexts(qkv, &without_bias(sequences), heads, head_dim)
                }))
            };
            let all = run(&qkv, &sequences, 1);
            assert_eq!(run(&qkv, &sequences, 3), all, "{level:?} 3 threads");
            for sequence in sequences {
                let part = &qkv[sequence.start * 3 * hidden..][..sequence.tokens * 3 * hidden];
                let alone = run(
                    part,
                    &[Sequence {
                        start: 0,
                        ..sequence
                    }],
                    2,
                );
                assert_eq!(
                    alone,
                    all[sequence.start * hidden..][..sequence.tokens * hidden],
                    "{level:?} {sequence:?}"
                );
                if sequence.attended > 0 {
                    let size = sequence.attended;
                    let bare = run(
                        &part[..size * 3 * hidden],
                        &[Sequence {
                            start: 0,
                            tokens: size,
                            attended: size,
                        }],
                        1,
                    );
                    assert_eq!(
                        bare,
                        alone[..size * hidden],
                        "{level:?} without padding {sequence:?}"
                    );
                }
            }
        }
    });
}

#[test]
fn probabilities_are_within_rounding_of_the_oracle_and_give_the_context() {
    at_each_level(|level| {
        for (heads, head_dim) in [(1, 1), (3, 12), (2, 64)] {
            let (sequences, tokens) = sequences();
            let qkv = values(tokens * 3 * heads * head_dim, 6);
            for sequences in with_and_without_bias(&sequences, heads) {
                let probs = with_threads(3, || probabilities(&qkv, &sequences, heads, head_dim));
                let expected = oracle::attention_probs(&qkv, &sequences, heads, head_dim);
                // Scores are below 5, so that their error is a few roundings of 1.
                let error = largest_error(&probs, &expected);
                assert!(
                    error < 5e-7,
                    "{level:?} {heads} heads of {head_dim}: {error:e}"
                );
            }
        }
    });
}

#[test]
fn the_first_token_alone_has_the_bits_that_it_has_among_all() {
    at_each_level(|level| {
        let (heads, head_dim) = (3, 12);
        let hidden = heads * head_dim;
        let (sequences, tokens) = sequences();
        let qkv = values(tokens * 3 * hidden, 7);
        let firsts: Vec<f32> = sequences
            .iter()
            .flat_map(|it| qkv[it.start * 3 * hidden..][..hidden].to_vec())
            .collect();
        let row = |token: usize, of: &'_ [f32]| of[token * hidden..][..hidden].to_vec();
        let panels = to_panels(&qkv, 3 * hidden);
        let (input, of) = input(&panels, tokens, heads, head_dim);
        let queries = to_panels(&firsts, hidden);
        let count = sequences.len();
        let input = AttentionInput {
            queries: PanelSlice {
                values: &queries,
                layout: PanelLayout {
                    tokens: count,
                    features: hidden,
                },
                feature: 0,
                features: hidden,
            },
            ..input
        };
        for attended in with_and_without_bias(&sequences, heads) {
            let all = contexts(&qkv, &attended, heads, head_dim);
            let out = written(count, hidden, |out| {
                attention(input, &attended, QueryTokens::First, of, out);
            });
            let out = to_rows(&out, count, hidden);
            for (place, sequence) in sequences.iter().enumerate() {
                let (alone, among) = (row(place, &out), row(sequence.start, &all));
                assert_eq!(bits(&alone), bits(&among), "{level:?} {sequence:?}");
            }
        }
    });
}
