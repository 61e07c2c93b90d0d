//! `add_layer_norm` and `embeddings`.

use super::super::embeddings::{TokenRows, embeddings};
use super::super::layer_norm::{NormParameters, add_layer_norm};
use super::super::oracle::{self, values};
use super::{at_each_level, bits, largest_error, to_panels, to_rows, with_threads, written};

/// Rows in, rows out.
fn normalized(x: &[f32], residual: &[f32], norm: NormParameters<'_>) -> Vec<f32> {
    let hidden = norm.gamma.len();
    let tokens = x.len() / hidden;
    let (x, residual) = (to_panels(x, hidden), to_panels(residual, hidden));
    let out = written(tokens, hidden, |out| {
        add_layer_norm(&x, &residual, norm, tokens, out);
    });
    to_rows(&out, tokens, hidden)
}

#[test]
fn add_layer_norm_is_within_rounding_of_the_oracle_and_equal_in_any_batch() {
    at_each_level(|level| {
        for hidden in [1, 3, 12, 61, 100, 384, 768, 1021] {
            let rows = 70;
            // An offset of 5 makes a one-pass variance fail.
            let x: Vec<f32> = values(rows * hidden, 6)
                .iter()
                .map(|value| value + 5.0)
                .collect();
            let residual = values(rows * hidden, 7);
            let (gamma, beta) = (values(hidden, 8), values(hidden, 9));
            let norm = NormParameters {
                gamma: &gamma,
                beta: &beta,
                eps: 1e-12,
            };
            let out = with_threads(3, || normalized(&x, &residual, norm));
            for row in 0..rows {
                let range = row * hidden..(row + 1) * hidden;
                let (x, residual) = (&x[range.clone()], &residual[range.clone()]);
                let sum: Vec<f64> = x
                    .iter()
                    .zip(residual)
                    .map(|(x, residual)| f64::from(x + residual))
                    .collect();
                let error = largest_error(
                    &out[range.clone()],
                    &oracle::layer_norm(&sum, &gamma, &beta, 1e-12),
                );
                // Values of about 1; hidden 1 and 3 can have a variance near the rounding of 5.
                assert!(
                    error < if hidden < 10 { 1e-5 } else { 1e-6 },
                    "{level:?} hidden {hidden} row {row}: {error:e}"
                );
                let one = normalized(x, residual, norm);
                assert_eq!(
                    bits(&one),
                    bits(&out[range]),
                    "{level:?} hidden {hidden} row {row}"
                );
            }
        }
    });
}

#[test]
fn embeddings_add_and_normalize_the_rows_named_by_the_ids() {
    at_each_level(|level| {
        let hidden = 37;
        let tables = [11, 2, 9, 4].map(|rows| values(rows * hidden, rows as u64));
        let ids = [[10, 0, 3, 3], [0, 1, 1, 0], [0, 8, 2, 5], [3, 2, 1, 0]];
        let (gamma, beta) = (values(hidden, 4), values(hidden, 5));
        let norm = NormParameters {
            gamma: &gamma,
            beta: &beta,
            eps: 1e-12,
        };
        for count in 1..=tables.len() {
            let terms = tables.iter().zip(&ids).take(count);
            let terms: Vec<_> = terms
                .map(|(table, ids)| TokenRows {
                    values: table.into(),
                    ids: ids.into(),
                })
                .collect();
            let out = written(4, hidden, |out| embeddings(&terms, norm, 4, out));
            let out = to_rows(&out, 4, hidden);
            for token in 0..4 {
                let value = |(table, ids): (&Vec<f32>, &[u32; 4]), column: usize| {
                    table[ids[token] as usize * hidden + column]
                };
                let sum: Vec<f64> = (0..hidden)
                    .map(|column| {
                        let terms = tables.iter().zip(&ids).take(count);
                        let sum = terms.map(|term| value(term, column)).reduce(|a, b| a + b);
                        f64::from(sum.expect("one table at least"))
                    })
                    .collect();
                let error = largest_error(
                    &out[token * hidden..][..hidden],
                    &oracle::layer_norm(&sum, &gamma, &beta, 1e-12),
                );
                assert!(
                    error < 1e-6,
                    "{level:?} {count} tables, token {token}: {error:e}"
                );
            }
        }
    });
}
