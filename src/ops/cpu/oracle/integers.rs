//! The integer schemes as they are defined: one value after the other, sums in i64.

use super::super::linear::Scheme;

/// The integers of a group, less their zero point, and their scale.
type Group = (Vec<i64>, f32);

/// `x · weightᵀ + bias` in integers.
pub(crate) fn linear(
    x: &[f32],
    in_features: usize,
    weight: &[f32],
    bias: &[f32],
    scheme: Scheme,
) -> Vec<f32> {
    let rows = |numbers: &[f32], quantize: fn(&[f32]) -> Group| {
        let row = |row: &[f32]| row.chunks(group(scheme)).map(quantize).collect();
        numbers
            .chunks_exact(in_features)
            .map(row)
            .collect::<Vec<Vec<Group>>>()
    };
    let (x, weight) = match scheme {
        Scheme::Int16 => (rows(x, int16_x), rows(weight, int16_weight)),
        Scheme::Int8 => (rows(x, int8), rows(weight, int8)),
    };
    let mut out = Vec::new();
    for x in &x {
        for (weight, bias) in weight.iter().zip(bias) {
            let mut total: Option<f32> = None;
            for ((x, x_scale), (weight, weight_scale)) in x.iter().zip(weight) {
                let sum: i64 = x.iter().zip(weight).map(|(x, weight)| x * weight).sum();
                let largest: i64 = x.iter().zip(weight).map(|(x, w)| (x * w).abs()).sum();
                assert!(i32::try_from(largest).is_ok(), "{largest} leaves i32");
                let sum = sum as f32 * x_scale * weight_scale;
                total = Some(total.map_or(sum, |total| total + sum));
            }
            out.push(total.expect("one group at least") + bias);
        }
    }
    out
}

fn group(scheme: Scheme) -> usize {
    match scheme {
        Scheme::Int16 => 128,
        Scheme::Int8 => 32,
    }
}

fn largest(values: &[f32]) -> f32 {
    values
        .iter()
        .fold(0.0, |largest, value| value.abs().max(largest))
}

/// From -8191 to 8191.
fn int16_x(values: &[f32]) -> Group {
    let largest = largest(values);
    if largest == 0.0 {
        return (vec![0; values.len()], 0.0);
    }
    let inverse = 8191.0 / largest;
    let integer = |value: &f32| (value * inverse).round_ties_even() as i64;
    (
        values.iter().map(integer).collect(),
        largest * (1.0 / 8191.0),
    )
}

/// As large as possible while 8191 times the sum of their absolute values stays in i32.
fn int16_weight(values: &[f32]) -> Group {
    let largest = largest(values);
    if largest == 0.0 {
        return (vec![0; values.len()], 0.0);
    }
    // Every sixteenth value first, then the sixteen sums.
    let lane = |lane| {
        values
            .iter()
            .skip(lane)
            .step_by(16)
            .map(|value| value.abs())
            .sum::<f32>()
    };
    let total: f32 = (0..16).map(lane).sum();
    let budget = 2_147_483_648.0_f32 / 8191.0 - 64.0 - 1000.0;
    let most = (budget * (largest / total)).floor().min(32767.0);
    let inverse = most / largest;
    let integer = |value: &f32| (value * inverse).round_ties_even() as i64;
    (values.iter().map(integer).collect(), largest / most)
}

/// 255 steps from the smallest value or zero to the largest or zero.
fn int8(values: &[f32]) -> Group {
    let lowest = values
        .iter()
        .fold(0.0_f32, |lowest, value| lowest.min(*value));
    let highest = values
        .iter()
        .fold(0.0_f32, |highest, value| highest.max(*value));
    let range = highest - lowest;
    if range == 0.0 {
        return (vec![0; values.len()], 0.0);
    }
    let inverse = 255.0 / range;
    let zero = (-lowest * inverse).round_ties_even();
    let place = |value: &f32| (value * inverse + zero).clamp(0.0, 255.0).round_ties_even();
    let integer = |value: &f32| place(value) as i64 - zero as i64;
    (values.iter().map(integer).collect(), range * (1.0 / 255.0))
}

/// The largest error of the product of two rows: half a step for each value, a whole one with a
/// zero point, and f32's rounding.
pub(crate) fn largest_error(x: &[f32], weight: &[f32], scheme: Scheme) -> f64 {
    let steps = |values: &[f32], quantize: fn(&[f32]) -> Group| {
        let (_, scale) = quantize(values);
        f64::from(scale)
    };
    let mut error = 0.0;
    for (x, weight) in x.chunks(group(scheme)).zip(weight.chunks(group(scheme))) {
        let (of_x, of_weight, share) = match scheme {
            Scheme::Int16 => (steps(x, int16_x), steps(weight, int16_weight), 0.5),
            Scheme::Int8 => (steps(x, int8), steps(weight, int8), 1.0),
        };
        for (x, weight) in x.iter().zip(weight) {
            let (x, weight) = (f64::from(x.abs()), f64::from(weight.abs()));
            error += share * (of_x * weight + of_weight * x + share * of_x * of_weight);
            error += 1e-6 * x * weight;
        }
    }
    error * 1.000_1
}
