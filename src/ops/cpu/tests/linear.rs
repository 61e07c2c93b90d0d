//! `linear` in f32.

use half::{bf16, f16};

use super::super::linear::{FloatWeight, Weight, WeightMatrix, linear};
use super::super::oracle::{self, values};
use super::super::panel::PanelLayout;
use super::{at_each_level, bits, largest_error, to_panels, to_rows, with_threads, written};
use crate::ops::Activation;

fn one_linear(
    x: &[f32],
    in_features: usize,
    weight: &[f32],
    bias: &[f32],
    activation: Activation,
) -> Vec<f32> {
    let projection = WeightMatrix {
        weight: Weight::Floats(FloatWeight::F32(weight)),
        bias: Some(bias),
        out_features: bias.len(),
    };
    projected(x, in_features, &[projection], activation)
}

/// Rows in, rows out.
fn projected(
    x: &[f32],
    in_features: usize,
    projections: &[WeightMatrix<'_>],
    activation: Activation,
) -> Vec<f32> {
    let from = PanelLayout {
        tokens: x.len() / in_features,
        features: in_features,
    };
    let out_features = projections.iter().map(|it| it.out_features).sum();
    let panels = to_panels(x, in_features);
    let out = written(from.tokens, out_features, |out| {
        linear(&panels, from, projections, activation, out);
    });
    to_rows(&out, from.tokens, out_features)
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
            .map(|(weight, out_features)| WeightMatrix {
                weight: Weight::Floats(FloatWeight::F32(weight)),
                bias: None,
                out_features,
            })
            .collect();
        let all = projected(&x, in_features, &projections, Activation::None);
        let mut offset = 0;
        for projection in projections {
            let one = projected(&x, in_features, &[projection], Activation::None);
            for (row, one) in one.chunks_exact(projection.out_features).enumerate() {
                let part = &all[row * 61 + offset..][..projection.out_features];
                assert_eq!(bits(part), bits(one), "{level:?} row {row} offset {offset}");
            }
            offset += projection.out_features;
        }
    });
}

#[test]
fn narrow_weights_give_the_bits_of_the_same_numbers_in_f32() {
    at_each_level(|level| {
        let (rows, in_features, outputs) = (37, 301, 29);
        let x = values(rows * in_features, 1);
        let weight = values(outputs * in_features, 2);
        let half: Vec<_> = weight.iter().map(|it| f16::from_f32(*it)).collect();
        let brain: Vec<_> = weight.iter().map(|it| bf16::from_f32(*it)).collect();
        let widened_half: Vec<_> = half.iter().map(|it| it.to_f32()).collect();
        let widened_brain: Vec<_> = brain.iter().map(|it| it.to_f32()).collect();
        let run = |weight| {
            let projection = WeightMatrix {
                weight: Weight::Floats(weight),
                bias: None,
                out_features: outputs,
            };
            bits(&projected(&x, in_features, &[projection], Activation::Gelu))
        };
        let pairs = [
            (FloatWeight::F16(&half), FloatWeight::F32(&widened_half)),
            (FloatWeight::Bf16(&brain), FloatWeight::F32(&widened_brain)),
        ];
        for (narrow, wide) in pairs {
            assert_eq!(run(narrow), run(wide), "{level:?}");
        }
    });
}

#[test]
#[ignore = "prints the errors at the sizes of bert-base, for comparison with other engines"]
fn errors_at_the_sizes_of_bert_base() {
    at_each_level(|level| {
        for (in_features, outputs) in [(768, 768), (3072, 768)] {
            let x = values(64 * in_features, 1);
            let (weight, bias) = (values(outputs * in_features, 2), values(outputs, 3));
            let got = one_linear(&x, in_features, &weight, &bias, Activation::None);
            let expected = oracle::linear(&x, 64, in_features, &weight, &bias);
            let squares = got
                .iter()
                .zip(&expected)
                .map(|(got, expected)| (f64::from(*got) - expected).powi(2));
            let mean = (squares.sum::<f64>() / got.len() as f64).sqrt();
            eprintln!(
                "{level:?} {in_features}: largest {:.2e}, root mean square {mean:.2e}",
                largest_error(&got, &expected)
            );
        }
    });
}
