//! Layer normalization of a sum: the residual and what the sub-layer made of it.
//!
//! Source: Ba, Kiros and Hinton 2016 (arXiv:1607.06450). Two passes: the variance is the mean of
//! the squared distances, never E[x²] − E[x]², which loses the digits of a row with a large mean.

use candle_core::{Device, Result, Tensor, bail};

use super::cpu::{self, SharedOut};
use super::host::{HostOp, Parameter};
use super::{States, cuda, to_device};
use crate::checkpoint::{Dtype, TensorView};

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
    /// `[hidden]` each, in f32.
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
                weight: to_device(weight, device, Dtype::F32)?,
                bias: to_device(bias, device, Dtype::F32)?,
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
                    cpu::add_layer_norm(x, residual, norm, panels.tokens, out);
                };
                // SAFETY: the kernel writes every panel.
                let op = unsafe { HostOp::new("add_layer_norm", panels.size(), kernel) };
                op.apply_two([x.tensor(), residual.tensor()], panels.shape())?
            }
            Parameters::Device { .. } => {
                cuda::add_layer_norm(x.tensor(), x.bias(), residual.finished()?, self.device()?)?
            }
        };
        Ok(States::new(y, panels.tokens))
    }

    /// The kernel's view of the parameters, on the CPU.
    pub(super) fn host(&self) -> cpu::Norm<'_> {
        let (gamma, beta) = match &self.parameters {
            Parameters::Host { weight, bias } => (weight.values(), bias.values()),
            Parameters::Device { .. } => (&[][..], &[][..]),
        };
        cpu::Norm {
            gamma,
            beta,
            eps: self.eps as f32,
        }
    }

    /// The kernel's view of the parameters, on a GPU.
    pub(super) fn device(&self) -> Result<cuda::Norm<'_>> {
        match &self.parameters {
            Parameters::Device { weight, bias } => Ok(cuda::Norm {
                gamma: weight,
                beta: bias,
                eps: self.eps as f32,
            }),
            Parameters::Host { .. } => bail!("layer_norm: the parameters are on the CPU"),
        }
    }
}
