//! Layer normalization of a sum: the residual and what the sub-layer made of it.
//!
//! Source: Ba, Kiros and Hinton 2016 (arXiv:1607.06450). Two passes: the variance is the mean of
//! the squared distances, never E[x²] − E[x]², which loses the digits of a row with a large mean.

use candle_core::{D, Device, Result, Tensor};

use super::to_device;
use crate::checkpoint::TensorView;

/// Scale, shift and epsilon of one layer normalization.
pub struct LayerNorm {
    /// `[hidden]`
    weight: Tensor,
    /// `[hidden]`
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    /// The normalization on `device`.
    ///
    /// # Errors
    /// Where the device has no memory for it.
    pub fn load(weight: &TensorView, bias: &TensorView, eps: f64, device: &Device) -> Result<Self> {
        Ok(Self {
            weight: to_device(weight, device)?,
            bias: to_device(bias, device)?,
            eps,
        })
    }

    /// The normalization of `x + residual`.
    ///
    /// # Shapes
    /// `x`, `residual` `[tokens, hidden]` → `[tokens, hidden]`
    ///
    /// # Errors
    /// Where the shapes do not fit or the device fails.
    pub fn forward(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        self.normalize(&(x + residual)?)
    }

    pub(super) fn normalize(&self, x: &Tensor) -> Result<Tensor> {
        let centered = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = centered.sqr()?.mean_keepdim(D::Minus1)?;
        let normalized = centered.broadcast_div(&(variance + self.eps)?.sqrt()?)?;
        normalized
            .broadcast_mul(&self.weight)?
            .broadcast_add(&self.bias)
    }
}
