//! `linear` in integers: bit for bit what its definition gives, on every level, and close to f64.

use super::super::linear::{IntegerWeight, Scheme, Weight, WeightMatrix, linear};
use super::super::oracle::{self, integers, values};
use super::super::panel::PanelLayout;
use super::super::simd::{Level, forbid_vnni, has_vnni};
use super::{at_each_level, bits, to_panels, to_rows, with_threads, written};
use crate::ops::Activation;

const SCHEMES: [Scheme; 2] = [Scheme::Int16, Scheme::Int8];

/// Sizes that no group, word or tile divides, and one that all do.
const SIZES: [(usize, usize, usize); 10] = [
    (1, 1, 1),
    (2, 3, 5),
    (7, 33, 13),
    (16, 64, 12),
    (17, 100, 29),
    (33, 257, 31),
    (70, 97, 50),
    (18, 312, 25),
    (32, 384, 24),
    (45, 1155, 37),
];

/// Runs `test` at every level with every instruction that multiplies integers there.
fn at_each_instruction(test: impl Fn(&str)) {
    at_each_level(|level| {
        forbid_vnni(true);
        test(&format!("{level:?}"));
        forbid_vnni(false);
        if has_vnni() {
            test(&format!("{level:?} with VNNI"));
        }
    });
}

/// A linear layer in integers: rows in, rows out.
fn quantized(
    x: &[f32],
    in_features: usize,
    weight: &[f32],
    bias: &[f32],
    scheme: Scheme,
) -> Vec<f32> {
    let weight = IntegerWeight::quantize(weight, in_features, scheme);
    projected(x, in_features, &[matrix(&weight, Some(bias))])
}

fn matrix<'a>(weight: &'a IntegerWeight, bias: Option<&'a [f32]>) -> WeightMatrix<'a> {
    WeightMatrix {
        weight: Weight::Integers(weight),
        bias,
        out_features: weight.out_features(),
    }
}

fn projected(x: &[f32], in_features: usize, projections: &[WeightMatrix<'_>]) -> Vec<f32> {
    let from = PanelLayout {
        tokens: x.len() / in_features,
        features: in_features,
    };
    let out_features = projections.iter().map(|it| it.out_features).sum();
    let panels = to_panels(x, in_features);
    let out = written(from.tokens, out_features, |out| {
        linear(&panels, from, projections, Activation::None, out);
    });
    to_rows(&out, from.tokens, out_features)
}

/// `x` and weights of one kind.
struct Numbers {
    name: &'static str,
    x: Vec<f32>,
    weight: Vec<f32>,
}

/// Even values, an outlier feature, zeros, constant rows, and the largest possible sums.
fn numbers(rows: usize, in_features: usize, outputs: usize) -> [Numbers; 5] {
    let x = values(rows * in_features, 1);
    let weight = values(outputs * in_features, 2);
    let mut outlier = x.clone();
    for row in outlier.chunks_exact_mut(in_features) {
        row[in_features / 2] *= 40.0;
    }
    let every = |period: usize, numbers: &[f32], features: usize, value: f32| {
        let mut numbers = numbers.to_vec();
        for row in numbers.chunks_exact_mut(features).step_by(period) {
            row.fill(value);
        }
        numbers
    };
    let sign = |numbers: &[f32]| numbers.iter().map(|it| it.signum()).collect();
    [
        Numbers {
            name: "outlier",
            x: outlier,
            weight: weight.clone(),
        },
        Numbers {
            name: "zeros",
            x: every(2, &x, in_features, 0.0),
            weight: every(3, &weight, in_features, 0.0),
        },
        Numbers {
            name: "constant",
            x: every(2, &x, in_features, -0.75),
            weight: every(3, &weight, in_features, 0.3),
        },
        Numbers {
            name: "largest sums",
            x: vec![1.0; rows * in_features],
            weight: sign(&every(2, &weight, in_features, -1.0)),
        },
        Numbers {
            name: "even",
            x,
            weight,
        },
    ]
}

#[test]
fn integers_give_the_bits_of_their_definition_on_every_level() {
    at_each_instruction(|level| {
        for ((rows, in_features, outputs), scheme) in SIZES
            .into_iter()
            .flat_map(|size| SCHEMES.map(|scheme| (size, scheme)))
        {
            let bias = values(outputs, 3);
            for Numbers { name, x, weight } in numbers(rows, in_features, outputs) {
                let got = quantized(&x, in_features, &weight, &bias, scheme);
                let expected = integers::linear(&x, in_features, &weight, &bias, scheme);
                assert_eq!(
                    bits(&got),
                    bits(&expected),
                    "{level} {scheme:?} {name} {rows}x{in_features}x{outputs}"
                );
            }
        }
    });
}

#[test]
fn integers_are_as_close_to_the_numbers_as_their_steps_allow() {
    at_each_instruction(|level| {
        for ((rows, in_features, outputs), scheme) in SIZES
            .into_iter()
            .flat_map(|size| SCHEMES.map(|scheme| (size, scheme)))
        {
            let bias = vec![0.0; outputs];
            for Numbers { name, x, weight } in numbers(rows, in_features, outputs) {
                let got = quantized(&x, in_features, &weight, &bias, scheme);
                let exact = oracle::linear(&x, rows, in_features, &weight, &bias);
                let largest = integers::largest_errors(&x, in_features, &weight, scheme);
                assert_eq!(got.len(), largest.len());
                for ((got, exact), most) in got.iter().zip(&exact).zip(largest) {
                    let error = (f64::from(*got) - exact).abs();
                    assert!(
                        error <= most,
                        "{level} {scheme:?} {name} {rows}x{in_features}x{outputs}: \
                         {error:e} above {most:e}"
                    );
                }
            }
        }
    });
}

#[test]
fn integers_give_equal_rows_equal_bits_on_any_number_of_threads() {
    at_each_instruction(|level| {
        for scheme in SCHEMES {
            let (rows, in_features, outputs) = (70, 301, 37);
            let x = values(rows * in_features, 1);
            let (weight, bias) = (values(outputs * in_features, 2), values(outputs, 3));
            let run = |x: &[f32], threads| {
                bits(&with_threads(threads, || {
                    quantized(x, in_features, &weight, &bias, scheme)
                }))
            };
            let all = run(&x, 1);
            assert_eq!(run(&x, 3), all, "{level} {scheme:?} 3 threads");
            for count in 1..=rows {
                let first = (rows - count) / 2;
                let part = &x[first * in_features..][..count * in_features];
                assert_eq!(
                    run(part, 2),
                    all[first * outputs..][..count * outputs],
                    "{level} {scheme:?} {count} rows"
                );
            }
        }
    });
}

#[test]
fn integer_projections_side_by_side_equal_single_ones() {
    at_each_instruction(|level| {
        for schemes in [
            [Scheme::Int16; 3],
            [Scheme::Int8; 3],
            [Scheme::Int8, Scheme::Int8, Scheme::Int16],
        ] {
            let (in_features, sizes) = (45, [30, 7, 24]);
            let x = values(19 * in_features, 1);
            let weights = [0, 1, 2].map(|index| {
                let size = sizes[index];
                IntegerWeight::quantize(
                    &values(size * in_features, size as u64),
                    in_features,
                    schemes[index],
                )
            });
            let matrices = weights.each_ref().map(|weight| matrix(weight, None));
            let all = projected(&x, in_features, &matrices);
            let mut offset = 0;
            for matrix in matrices {
                let size = matrix.out_features;
                let one = projected(&x, in_features, &[matrix]);
                for (row, one) in one.chunks_exact(size).enumerate() {
                    let part = &all[row * 61 + offset..][..size];
                    assert_eq!(bits(part), bits(one), "{level} {schemes:?} row {row}");
                }
                offset += size;
            }
        }
    });
}

#[test]
fn a_number_that_is_not_finite_is_never_hidden() {
    at_each_instruction(|level| {
        for scheme in SCHEMES {
            for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let (in_features, outputs) = (70, 13);
                let (x, weight) = (values(5 * in_features, 1), values(outputs * in_features, 2));
                let bias = vec![0.0; outputs];
                let mut bad_x = x.clone();
                bad_x[2 * in_features + 50] = bad;
                let from = PanelLayout {
                    tokens: 5,
                    features: in_features,
                };
                let run = |x: &[f32], weight: &[f32]| {
                    let weight = IntegerWeight::quantize(weight, in_features, scheme);
                    let matrix = matrix(&weight, Some(&bias));
                    let panels = to_panels(x, in_features);
                    let size = 5_usize.next_multiple_of(Level::current().lanes()) * outputs;
                    let mut out = vec![std::mem::MaybeUninit::new(0.0); size];
                    let shared = super::super::threads::SharedOut::new(&mut out);
                    linear(&panels, from, &[matrix], Activation::None, shared);
                    // SAFETY: it was all initialized.
                    let out: Vec<f32> = out
                        .into_iter()
                        .map(|it| unsafe { it.assume_init() })
                        .collect();
                    to_rows(&out, 5, outputs)
                };
                let out = run(&bad_x, &weight);
                assert!(
                    out[2 * outputs..3 * outputs]
                        .iter()
                        .all(|it| !it.is_finite()),
                    "{level} {scheme:?} {bad} in x"
                );
                assert!(out[..2 * outputs].iter().all(|it| it.is_finite()));
                let mut bad_weight = weight.clone();
                bad_weight[4 * in_features + 50] = bad;
                let out = run(&x, &bad_weight);
                assert!(
                    (0..5).all(|row| !out[row * outputs + 4].is_finite()),
                    "{level} {scheme:?} {bad} in a weight"
                );
            }
        }
    });
}
