//! The integer schemes as they are defined: one value after the other, sums in i64.

use super::super::linear::Scheme;

/// The integers of a group and their scale.
type Group = (Vec<i64>, f32);

/// `x · weightᵀ + bias` in integers.
pub(crate) fn linear(
    x: &[f32],
    in_features: usize,
    weight: &[f32],
    bias: &[f32],
    scheme: Scheme,
) -> Vec<f32> {
    let (rotation, group) = sizes(scheme, in_features);
    let rows = |numbers: &[f32], quantize: fn(&[f32]) -> Group| {
        let row = |row: &[f32]| {
            let row: Vec<f32> = row.chunks(rotation).flat_map(rotated).collect();
            row.chunks(group).map(quantize).collect()
        };
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
                let sum = sum as f32 * x_scale * (weight_scale / rotation as f32);
                total = Some(total.map_or(sum, |total| total + sum));
            }
            out.push(total.expect("one group at least") + bias);
        }
    }
    out
}

/// Values that are rotated together, and values that share a scale.
fn sizes(scheme: Scheme, in_features: usize) -> (usize, usize) {
    match scheme {
        Scheme::Int16 => (1, 128),
        Scheme::Int8 => {
            let powers = (0..=7).map(|power| 1 << power);
            let divisors = powers.filter(|power| in_features.is_multiple_of(*power));
            let rotation = divisors.max().expect("1 divides every number");
            (rotation, rotation.max(32))
        }
    }
}

/// The values by a Hadamard matrix: sums and differences of the rotated halves. Added up in this
/// order, neighbours are the first to meet.
fn rotated(values: &[f32]) -> Vec<f32> {
    if values.len() == 1 {
        return values.to_vec();
    }
    let (low, high) = values.split_at(values.len() / 2);
    let (low, high) = (rotated(low), rotated(high));
    let sums = low.iter().zip(&high).map(|(low, high)| low + high);
    let differences = low.iter().zip(&high).map(|(low, high)| low - high);
    sums.chain(differences).collect()
}

/// The same in f64 by the entries of the matrix.
fn exactly_rotated(values: &[f32]) -> Vec<f64> {
    let entry = |row: usize, column: usize| match (row & column).count_ones() % 2 {
        0 => 1.0,
        _ => -1.0,
    };
    let product = |row| {
        let terms = values.iter().enumerate();
        let terms = terms.map(|(column, value)| entry(row, column) * f64::from(*value));
        terms.sum()
    };
    (0..values.len()).map(product).collect()
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

/// From -127 to 127.
fn int8(values: &[f32]) -> Group {
    let largest = largest(values);
    if largest == 0.0 {
        return (vec![0; values.len()], 0.0);
    }
    let inverse = 127.0 / largest;
    let integer = |value: &f32| (value * inverse).round_ties_even() as i64;
    (
        values.iter().map(integer).collect(),
        largest * (1.0 / 127.0),
    )
}

/// A value and how far the integer that stands for it may be from it.
type Bounded = (f64, f64);

/// The largest error of each output: half a step for each value and f32's rounding, of the rotation
/// too.
pub(crate) fn largest_errors(
    x: &[f32],
    in_features: usize,
    weight: &[f32],
    scheme: Scheme,
) -> Vec<f64> {
    let (rotation, group) = sizes(scheme, in_features);
    let bounded = |numbers: &[f32], quantize: fn(&[f32]) -> Group| {
        let row = |row: &[f32]| bounded(row, rotation, group, quantize);
        let rows = numbers.chunks_exact(in_features).map(row);
        rows.collect::<Vec<Vec<Bounded>>>()
    };
    let (x, weight) = match scheme {
        Scheme::Int16 => (bounded(x, int16_x), bounded(weight, int16_weight)),
        Scheme::Int8 => (bounded(x, int8), bounded(weight, int8)),
    };
    let error = |((x, of_x), (weight, of_weight)): (&Bounded, &Bounded)| {
        of_x * weight + of_weight * x + of_x * of_weight + 1e-6 * x * weight
    };
    let mut errors = Vec::new();
    for x in &x {
        for weight in &weight {
            let sum: f64 = x.iter().zip(weight).map(error).sum();
            errors.push(sum / rotation as f64 * 1.000_1);
        }
    }
    errors
}

/// The absolute values of a row, rotated in f64.
fn bounded(
    row: &[f32],
    rotation: usize,
    group: usize,
    quantize: fn(&[f32]) -> Group,
) -> Vec<Bounded> {
    let blocks = row.chunks(rotation);
    let exact = blocks.clone().flat_map(exactly_rotated).map(f64::abs);
    let rounding = blocks.clone().flat_map(|block| {
        let sum: f64 = block.iter().map(|value| f64::from(value.abs())).sum();
        vec![1e-6 * sum; block.len()]
    });
    let values: Vec<f32> = blocks.flat_map(rotated).collect();
    let half_steps = values.chunks(group).flat_map(|group| {
        let (_, scale) = quantize(group);
        vec![0.5 * f64::from(scale); group.len()]
    });
    let errors = half_steps
        .zip(rounding)
        .map(|(step, rounding)| step + rounding);
    exact.zip(errors).collect()
}
