//! The activation functions on a device that is not the CPU, by candle's own operations.
//!
//! Source: GELU, Hendrycks and Gimpel 2016 (arXiv:1606.08415); `ACT2FN` in transformers.

use candle_core::{Result, Tensor};

use super::Activation;

/// The activation of each element of `x`.
pub(super) fn forward(activation: Activation, x: Tensor) -> Result<Tensor> {
    match activation {
        Activation::None => Ok(x),
        Activation::Gelu => x.gelu_erf(),
        Activation::GeluTanh => x.gelu(),
        Activation::Relu => x.relu(),
        Activation::Tanh => x.tanh(),
    }
}
