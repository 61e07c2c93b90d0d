//! The activation functions of the feed-forward and of the pooler.
//!
//! Source: GELU, Hendrycks and Gimpel 2016 (arXiv:1606.08415); `ACT2FN` in transformers.

use candle_core::{Result, Tensor};

/// What follows the bias of a linear operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    None,
    /// x · Φ(x) with the exact Φ (erf); `gelu` in config.json.
    Gelu,
    /// The approximation by tanh; `gelu_new` and `gelu_pytorch_tanh`.
    GeluTanh,
    /// max(x, 0).
    Relu,
    /// tanh(x), the pooler's.
    Tanh,
}

impl Activation {
    /// The activation of each element of `x`, by candle's own operations.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn forward(self, x: Tensor) -> Result<Tensor> {
        match self {
            Self::None => Ok(x),
            Self::Gelu => x.gelu_erf(),
            Self::GeluTanh => x.gelu(),
            Self::Relu => x.relu(),
            Self::Tanh => x.tanh(),
        }
    }
}
