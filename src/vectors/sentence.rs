//! The modules after the pooling of a sentence-transformers model: dense layers and normalization.
//!
//! Source: `Dense` and `Normalize` of sentence-transformers.

use super::pooling::{all_finite, normalize};
use super::sentence_transformer::{Dense, DenseActivation, SentenceLayer};

/// `None` if a layer gives a value that is not finite, which the next layer could hide.
pub(super) fn forward(layers: &[SentenceLayer], mut vector: Vec<f32>) -> Option<Vec<f32>> {
    for layer in layers {
        match layer {
            SentenceLayer::Dense(layer) => vector = dense(layer, &vector),
            SentenceLayer::Normalize => normalize(&mut vector),
        }
        if !all_finite(&vector) {
            return None;
        }
    }
    Some(vector)
}

/// activation(x · Wᵀ + b), sums in f64.
fn dense(layer: &Dense, x: &[f32]) -> Vec<f32> {
    let rows = layer.weight.chunks_exact(layer.in_features);
    let output = |(place, row): (usize, &[f32])| {
        let bias = layer.bias.get(place).copied().unwrap_or_default();
        let products = row.iter().zip(x);
        let sum: f64 = products.map(|(&w, &x)| f64::from(w) * f64::from(x)).sum();
        let y = activate(layer.activation, sum + f64::from(bias));
        let residual = if layer.use_residual { x[place] } else { 0.0 };
        (y + f64::from(residual)) as f32
    };
    rows.enumerate().map(output).collect()
}

fn activate(activation: DenseActivation, x: f64) -> f64 {
    match activation {
        DenseActivation::Tanh => x.tanh(),
        DenseActivation::Identity => x,
        DenseActivation::Relu => x.max(0.0),
        DenseActivation::Gelu => 0.5 * x * (1.0 + libm::erf(x / std::f64::consts::SQRT_2)),
        DenseActivation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
    }
}
