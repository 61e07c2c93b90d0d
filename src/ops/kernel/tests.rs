//! Every kernel against its f64 oracle, at every level that the machine has, and bit for bit against
//! itself over rows, neighbours and threads.

use super::attention::{Sequence, attention};
use super::embeddings::{Ids, Tables, embeddings};
use super::layer_norm::{Norm, add_layer_norm};
use super::linear::{Projection, linear};
use super::math::{self, Activation};
use super::oracle::{self, values};
use super::simd::{Kernel, Level, Simd, dispatch};

/// Runs `test` at every level, one test at a time, since the level is the process's.
fn at_each_level(test: impl Fn(Level)) {
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _guard = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    for level in Level::available() {
        Level::force(Some(level));
        test(level);
    }
    Level::force(None);
}

fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("a thread pool")
        .install(work)
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn largest_error(got: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    got.iter()
        .zip(expected)
        .map(|(got, expected)| (f64::from(*got) - expected).abs())
        .fold(0.0, f64::max)
}

fn one_linear(
    x: &[f32],
    in_features: usize,
    weight: &[f32],
    bias: &[f32],
    activation: Activation,
) -> Vec<f32> {
    let rows = x.len() / in_features;
    let mut out = vec![f32::NAN; rows * bias.len()];
    let projection = Projection {
        weight,
        bias: Some(bias),
        out_features: bias.len(),
    };
    linear(x, rows, in_features, &[projection], activation, &mut out);
    out
}

#[test]
fn linear_is_within_rounding_of_the_oracle() {
    at_each_level(|level| {
        for (rows, in_features, outputs) in [
            (1, 1, 1),
            (2, 3, 5),
            (7, 33, 13),
            (16, 64, 12),
            (17, 100, 29),
            (33, 257, 31),
            (70, 97, 50),
            (300, 515, 61),
        ] {
            let x = values(rows * in_features, 1);
            let (weight, bias) = (values(outputs * in_features, 2), values(outputs, 3));
            let got = one_linear(&x, in_features, &weight, &bias, Activation::None);
            let error = largest_error(&got, &oracle::linear(&x, rows, in_features, &weight, &bias));
            // Half a unit of the last place for each of in_features additions of terms below 1, of
            // which the random walk sees the square root; 4 deviations.
            let tolerance = 4.0 * 6e-8 * (in_features as f64 + 1.0);
            assert!(
                error < tolerance,
                "{level:?} {rows}x{in_features}x{outputs}: {error:e}"
            );
        }
    });
}

#[test]
fn linear_gives_equal_rows_equal_bits() {
    at_each_level(|level| {
        for (in_features, outputs) in [(7, 5), (61, 37), (300, 48)] {
            let x = values(70 * in_features, 1);
            let (weight, bias) = (values(outputs * in_features, 2), values(outputs, 3));
            let all = one_linear(&x, in_features, &weight, &bias, Activation::Gelu);
            for rows in 1..=70 {
                let first = (70 - rows) / 2;
                let got = one_linear(
                    &x[first * in_features..][..rows * in_features],
                    in_features,
                    &weight,
                    &bias,
                    Activation::Gelu,
                );
                assert_eq!(
                    bits(&got),
                    bits(&all[first * outputs..][..rows * outputs]),
                    "{level:?} {rows} rows of {in_features}"
                );
            }
        }
    });
}

#[test]
fn linear_gives_the_same_bits_on_any_number_of_threads() {
    at_each_level(|level| {
        let (rows, in_features, outputs) = (530, 131, 100);
        let x = values(rows * in_features, 1);
        let (weight, bias) = (values(outputs * in_features, 2), values(outputs, 3));
        let run = |threads| {
            with_threads(threads, || {
                one_linear(&x, in_features, &weight, &bias, Activation::None)
            })
        };
        let one = bits(&run(1));
        for threads in [2, 3, 5] {
            assert_eq!(bits(&run(threads)), one, "{level:?} {threads} threads");
        }
    });
}

#[test]
fn projections_side_by_side_equal_single_ones() {
    at_each_level(|level| {
        let (rows, in_features, sizes) = (19, 45, [30, 7, 24]);
        let x = values(rows * in_features, 1);
        let weights: Vec<_> = sizes
            .iter()
            .map(|size| values(size * in_features, *size as u64))
            .collect();
        let projections: Vec<_> = weights
            .iter()
            .zip(sizes)
            .map(|(weight, out_features)| Projection {
                weight,
                bias: None,
                out_features,
            })
            .collect();
        let mut all = vec![f32::NAN; rows * 61];
        linear(
            &x,
            rows,
            in_features,
            &projections,
            Activation::None,
            &mut all,
        );
        let mut offset = 0;
        for projection in projections {
            let mut one = vec![f32::NAN; rows * projection.out_features];
            linear(
                &x,
                rows,
                in_features,
                &[projection],
                Activation::None,
                &mut one,
            );
            for (row, one) in one.chunks_exact(projection.out_features).enumerate() {
                let part = &all[row * 61 + offset..][..projection.out_features];
                assert_eq!(bits(part), bits(one), "{level:?} row {row} offset {offset}");
            }
            offset += projection.out_features;
        }
    });
}

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
            let mut out = vec![f32::NAN; tokens * heads * head_dim];
            attention(&qkv, &sequences, heads, head_dim, &mut out);
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
                let mut out = vec![f32::NAN; qkv.len() / 3];
                with_threads(threads, || {
                    attention(qkv, sequences, heads, head_dim, &mut out)
                });
                bits(&out)
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
            let norm = Norm {
                gamma: &gamma,
                beta: &beta,
                eps: 1e-12,
            };
            let mut out = vec![f32::NAN; rows * hidden];
            with_threads(3, || {
                add_layer_norm(&x, Some(&residual), norm, hidden, &mut out)
            });
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
                let mut one = vec![f32::NAN; hidden];
                add_layer_norm(x, Some(residual), norm, hidden, &mut one);
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
        let (word, position, token_type) = (
            values(11 * hidden, 1),
            values(9 * hidden, 2),
            values(2 * hidden, 3),
        );
        let (gamma, beta) = (values(hidden, 4), values(hidden, 5));
        let (input_ids, token_type_ids, position_ids) = ([10, 0, 3, 3], [0, 1, 1, 0], [0, 8, 2, 5]);
        let ids = Ids {
            input_ids: &input_ids,
            token_type_ids: &token_type_ids,
            position_ids: &position_ids,
        };
        let tables = Tables {
            word: &word,
            position: &position,
            token_type: &token_type,
        };
        let mut out = vec![f32::NAN; 4 * hidden];
        embeddings(
            ids,
            tables,
            Norm {
                gamma: &gamma,
                beta: &beta,
                eps: 1e-12,
            },
            hidden,
            &mut out,
        );
        for token in 0..4 {
            let row = |table: &[f32], id: u32, column: usize| table[id as usize * hidden + column];
            let sum: Vec<f64> = (0..hidden)
                .map(|column| {
                    let word = row(&word, input_ids[token], column)
                        + row(&token_type, token_type_ids[token], column);
                    f64::from(word + row(&position, position_ids[token], column))
                })
                .collect();
            let error = largest_error(
                &out[token * hidden..][..hidden],
                &oracle::layer_norm(&sum, &gamma, &beta, 1e-12),
            );
            assert!(error < 1e-6, "{level:?} token {token}: {error:e}");
        }
    });
}

/// A function of [`math`], by name, over a slice.
struct Apply<'a>(&'a str, &'a mut [f32]);

impl Kernel for Apply<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for values in self.1.chunks_mut(S::LANES) {
            let x = simd.load_slice(values);
            let y = match self.0 {
                "exp" => math::exp(simd, x),
                "gelu" => math::gelu(simd, x),
                "gelu_tanh" => math::gelu_tanh(simd, x),
                _ => math::tanh(simd, x),
            };
            simd.store_slice(y, values);
        }
    }
}

/// Largest absolute and relative errors over [low, high].
fn errors(
    level: Level,
    name: &str,
    low: f32,
    high: f32,
    oracle: impl Fn(f64) -> f64,
) -> (f64, f64) {
    let count = 200_003;
    let x: Vec<f32> = (0..count)
        .map(|i| low + (high - low) * i as f32 / (count - 1) as f32)
        .collect();
    let mut y = x.clone();
    dispatch(level, Apply(name, &mut y));
    let mut errors = (0.0_f64, 0.0_f64);
    for (x, y) in x.into_iter().zip(y) {
        let expected = oracle(f64::from(x));
        let error = (f64::from(y) - expected).abs();
        errors.0 = errors.0.max(error);
        if expected != 0.0 {
            errors.1 = errors.1.max(error / expected.abs());
        }
    }
    println!(
        "{level:?} {name} [{low}, {high}]: absolute {:.2e}, relative {:.2e}",
        errors.0, errors.1
    );
    errors
}

#[test]
fn functions_keep_the_errors_that_they_promise() {
    at_each_level(|level| {
        // Without FMA each step of a polynomial rounds twice.
        let slack = if level == Level::Portable { 2.0 } else { 1.0 };
        assert!(errors(level, "exp", -87.0, 0.0, f64::exp).1 < 1.3e-7 * slack);
        assert!(errors(level, "gelu", -4.0, 1.0, oracle::gelu).0 < 8e-8 * slack);
        assert!(errors(level, "gelu", 1.0, 20.0, oracle::gelu).1 < 1e-7 * slack);
        assert!(errors(level, "gelu", -20.0, -4.0, oracle::gelu).0 < 1e-9);
        assert!(errors(level, "gelu_tanh", -12.0, 1.0, oracle::gelu_tanh).0 < 2e-7 * slack);
        assert!(errors(level, "gelu_tanh", 1.0, 30.0, oracle::gelu_tanh).1 < 3e-7 * slack);
        assert!(errors(level, "tanh", -20.0, 20.0, f64::tanh).1 < 2e-7 * slack);
    });
}
