//! Layer normalization of a sum: the residual and what the sub-layer made of it.
//!
//! Source: Ba, Kiros and Hinton 2016 (arXiv:1607.06450). Two passes: the variance is the mean of
//! the squared distances, never E[x²] − E[x]², which loses the digits of a row with a large mean.

use candle_core::{D, Device, Result, Tensor, bail};

use super::host::{HostOp, Parameter};
use super::kernel::{self, SharedOut};
use super::{States, to_device};
use crate::checkpoint::TensorView;

/// Scale, shift and epsilon of one layer normalization.
pub struct LayerNorm {
    parameters: Parameters,
    eps: f64,
}

enum Parameters {
    Host {
        weight: Parameter,
        bias: Parameter,
    },
    /// `[hidden]` each.
    Device {
        weight: Tensor,
        bias: Tensor,
    },
}

impl LayerNorm {
    /// The normalization on `device`.
    ///
    /// # Errors
    /// Where the device has no memory for it.
    pub fn load(weight: &TensorView, bias: &TensorView, eps: f64, device: &Device) -> Result<Self> {
        let parameters = if device.is_cpu() {
            Parameters::Host {
                weight: Parameter::load(weight),
                bias: Parameter::load(bias),
            }
        } else {
            Parameters::Device {
                weight: to_device(weight, device)?,
                bias: to_device(bias, device)?,
            }
        };
        Ok(Self { parameters, eps })
    }

    /// The normalization of `x + residual`.
    ///
    /// # Shapes
    /// `x`, `residual` `[tokens, hidden]` → `[tokens, hidden]`
    ///
    /// # Errors
    /// Where the shapes do not fit or the device fails.
    pub fn forward(&self, x: &States, residual: &States) -> Result<States> {
        let panels = x.panels()?;
        if residual.panels()? != panels {
            bail!("add_layer_norm: the shapes do not fit");
        }
        let y = match &self.parameters {
            Parameters::Host { .. } => {
                let norm = self.host();
                let kernel = |[x, residual]: [&[f32]; 2], out: SharedOut| {
                    kernel::add_layer_norm(x, residual, norm, panels.tokens, out);
                };
                // SAFETY: the kernel writes every panel.
                let op = unsafe { HostOp::new("add_layer_norm", panels.size(), kernel) };
                op.apply_two([x.tensor(), residual.tensor()], panels.shape())?
            }
            Parameters::Device { weight, bias } => {
                normalize(&(x.tensor() + residual.tensor())?, weight, bias, self.eps)?
            }
        };
        Ok(States::new(y, panels.tokens))
    }

    /// The kernel's view of the parameters, on the CPU.
    pub(super) fn host(&self) -> kernel::Norm<'_> {
        let (gamma, beta) = match &self.parameters {
            Parameters::Host { weight, bias } => (weight.values(), bias.values()),
            Parameters::Device { .. } => (&[][..], &[][..]),
        };
        kernel::Norm {
            gamma,
            beta,
            eps: self.eps as f32,
        }
    }

    /// The normalization of `x` on a device that is not the CPU.
    pub(super) fn device_forward(&self, x: &Tensor) -> Result<Tensor> {
        match &self.parameters {
            Parameters::Device { weight, bias } => normalize(x, weight, bias, self.eps),
            Parameters::Host { .. } => {
                bail!("layer_norm: the parameters are on the CPU")
            }
        }
    }
}

fn normalize(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    let centered = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centered.sqr()?.mean_keepdim(D::Minus1)?;
    let normalized = centered.broadcast_div(&(variance + eps)?.sqrt()?)?;
    normalized.broadcast_mul(weight)?.broadcast_add(bias)
}
