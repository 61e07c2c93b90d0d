//! `attention`.

use super::super::attention::attention;
use super::super::oracle::{self, values};
use super::{at_each_level, bits, largest_error, to_panels, to_rows, with_threads, written};
use crate::ops::Sequence;

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

/// Rows in, rows out.
fn contexts(qkv: &[f32], sequences: &[Sequence], heads: usize, head_dim: usize) -> Vec<f32> {
    let hidden = heads * head_dim;
    let tokens = qkv.len() / 3 / hidden;
    let panels = to_panels(qkv, 3 * hidden);
    let out = written(tokens, hidden, |out| {
        attention(&panels, sequences, heads, head_dim, out);
    });
    to_rows(&out, tokens, hidden)
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
            let out = contexts(&qkv, &sequences, heads, head_dim);
            let error = largest_error(&out, &oracle::attention(&qkv, &sequences, heads, head_dim));
            // Scores carry about 20 * 6e-8 * a few of error, and that is the probabilities' relative error.
            assert!(
                error < 1.5e-5,
                "{level:?} {heads} heads of {head_dim}: {error:e}"
            );
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
                    contexts(qkv, sequences, heads, head_dim)
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
