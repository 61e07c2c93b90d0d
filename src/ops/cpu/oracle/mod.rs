//! The kernels as they are defined, in f64; the tests compare with them.

pub(crate) mod integers;

use super::attention::AttentionSequences;

/// Values spread evenly over (-1, 1), the same on every machine.
pub(crate) fn values(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x1234_5678_9ABC_DEF1;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// `x · weightᵀ + bias`
pub(crate) fn linear(
    x: &[f32],
    rows: usize,
    in_features: usize,
    weight: &[f32],
    bias: &[f32],
) -> Vec<f64> {
    let mut out = Vec::new();
    for row in x.chunks_exact(in_features).take(rows) {
        for (weight, bias) in weight.chunks_exact(in_features).zip(bias) {
            out.push(dot(row, weight) + f64::from(*bias));
        }
    }
    out
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(a, b)| f64::from(*a) * f64::from(*b))
        .sum()
}

/// A bias of attention scores that depends on the distance from the query to the key alone.
pub(crate) fn attention_bias(head: usize, query: usize, key: usize) -> f32 {
    let distance = key as f32 - query as f32;
    ((head as f32 + 1.0) * distance / 10.0).sin() * 2.0
}

/// Softmax attention, one query after the other.
pub(crate) fn attention(
    qkv: &[f32],
    sequences: &AttentionSequences,
    heads: usize,
    head_dim: usize,
) -> Vec<f64> {
    let hidden = heads * head_dim;
    let probs = attention_probs(qkv, sequences, heads, head_dim);
    let mut probs = probs.chunks(1);
    let mut out = vec![0.0; qkv.len() / 3];
    for sequence in &sequences.sequences {
        for head in 0..heads {
            for query in 0..sequence.tokens {
                let context =
                    &mut out[(sequence.start + query) * hidden + head * head_dim..][..head_dim];
                for key in 0..sequence.tokens {
                    let prob = probs.next().map_or(f64::NAN, |prob| prob[0]);
                    let value =
                        &qkv[(sequence.start + key) * 3 * hidden + 2 * hidden + head * head_dim..];
                    for (context, value) in context.iter_mut().zip(value) {
                        *context += prob * f64::from(*value);
                    }
                }
            }
        }
    }
    out
}

/// The probabilities, `[heads, tokens, tokens]` for each sequence in turn.
pub(crate) fn attention_probs(
    qkv: &[f32],
    sequences: &AttentionSequences,
    heads: usize,
    head_dim: usize,
) -> Vec<f64> {
    let hidden = heads * head_dim;
    let mut out = Vec::new();
    for sequence in &sequences.sequences {
        for head in 0..heads {
            let row = |token: usize, part: usize| {
                &qkv[(sequence.start + token) * 3 * hidden + part * hidden + head * head_dim..]
                    [..head_dim]
            };
            for query in 0..sequence.tokens {
                let score = |key: usize| {
                    let bias = sequences.bias.as_ref();
                    let bias = bias.map_or(0.0, |_| attention_bias(head, query, key));
                    dot(row(query, 0), row(key, 1)) / (head_dim as f64).sqrt() + f64::from(bias)
                };
                let mut scores: Vec<f64> = (0..sequence.attended).map(score).collect();
                if scores.is_empty() {
                    scores = vec![0.0; sequence.tokens];
                }
                let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let probs: Vec<f64> = scores.iter().map(|score| (score - max).exp()).collect();
                let total: f64 = probs.iter().sum();
                out.extend(probs.iter().map(|prob| prob / total));
                out.resize(out.len() + sequence.tokens - probs.len(), 0.0);
            }
        }
    }
    out
}

/// Layer norm of one row.
pub(crate) fn layer_norm(row: &[f64], gamma: &[f32], beta: &[f32], eps: f64) -> Vec<f64> {
    let size = row.len() as f64;
    let mean = row.iter().sum::<f64>() / size;
    let variance = row.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / size;
    let scale = (variance + eps).sqrt();
    let parameters = gamma.iter().zip(beta);
    row.iter()
        .zip(parameters)
        .map(|(x, (gamma, beta))| (x - mean) / scale * f64::from(*gamma) + f64::from(*beta))
        .collect()
}

/// `1 - Φ(t)` for t >= 0: series for small t, continued fraction for large, both to 1e-15.
pub(crate) fn normal_tail(t: f64) -> f64 {
    let density = (-t * t / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    if t < 3.0 {
        let (mut term, mut sum) = (t, t);
        for n in 1..200 {
            term *= t * t / f64::from(2 * n + 1);
            sum += term;
        }
        0.5 - density * sum
    } else {
        density
            / (1..200)
                .rev()
                .fold(t, |fraction, n| t + f64::from(n) / fraction)
    }
}

/// `x * Φ(x)`
pub(crate) fn gelu(x: f64) -> f64 {
    x.max(0.0) - x.abs() * normal_tail(x.abs())
}

/// The tanh form.
pub(crate) fn gelu_tanh(x: f64) -> f64 {
    0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
}
