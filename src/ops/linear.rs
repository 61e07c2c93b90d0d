//! y = activation(x · Wᵀ + b), several projections of one input side by side.
//!
//! On the CPU the weights stay where the checkpoint has them; on a GPU they are one tensor.

use candle_core::{Device, Result, Tensor, bail};

use super::cpu::{self, Panels, SharedOut};
use super::host::{HostOp, Parameter};
use super::{Activation, States, cuda, stack_on_device};
use crate::checkpoint::{Dtype, TensorView};

/// One weight with its bias as the checkpoint stores them.
pub struct Projection {
    /// `[out_features, in_features]`
    pub weight: TensorView,
    /// `[out_features]`
    pub bias: TensorView,
}

/// One or more projections of the same input, their outputs side by side.
pub struct Linear {
    parameters: Parameters,
}

enum Parameters {
    Host(Vec<HostProjection>),
    /// `[out_features, in_features]` as it is computed with and `[out_features]` in f32, of all
    /// projections.
    Device {
        weight: Tensor,
        bias: Tensor,
    },
}

struct HostProjection {
    weight: HostWeight,
    bias: Parameter,
}

impl HostProjection {
    fn get(&self) -> Option<cpu::Projection<'_>> {
        Some(cpu::Projection {
            weight: self.weight.get()?,
            bias: Some(self.bias.values()),
            out_features: self.bias.values().len(),
        })
    }
}

/// A weight on the host.
enum HostWeight {
    /// As it is stored, one of the three types on its boundaries.
    InPlace(TensorView),
    /// As f32, where the boundaries are not kept.
    Copied(Vec<f32>),
}

impl HostWeight {
    fn load(view: &TensorView) -> Self {
        let weight = Self::InPlace(view.clone());
        match weight.get() {
            Some(_) => weight,
            None => Self::Copied(view.to_f32()),
        }
    }

    fn get(&self) -> Option<cpu::Weight<'_>> {
        match self {
            Self::Copied(weight) => Some(cpu::Weight::F32(weight)),
            Self::InPlace(view) => None
                .or_else(|| view.as_f32().map(cpu::Weight::F32))
                .or_else(|| view.as_f16().map(cpu::Weight::F16))
                .or_else(|| view.as_bf16().map(cpu::Weight::Bf16)),
        }
    }
}

impl Linear {
    /// The projections on `device`; a GPU computes with them in `dtype`.
    ///
    /// # Errors
    /// Where the device has no memory for them.
    pub fn load(projections: &[Projection], device: &Device, dtype: Dtype) -> Result<Self> {
        let host = |projection: &Projection| HostProjection {
            weight: HostWeight::load(&projection.weight),
            bias: Parameter::load(&projection.bias),
        };
        let tensor = |part: fn(&Projection) -> &TensorView, dtype| {
            let parts: Vec<_> = projections.iter().map(part).collect();
            stack_on_device(&parts, device, dtype)
        };
        let parameters = if device.is_cpu() {
            Parameters::Host(projections.iter().map(host).collect())
        } else {
            Parameters::Device {
                weight: tensor(|it| &it.weight, dtype)?,
                bias: tensor(|it| &it.bias, Dtype::F32)?,
            }
        };
        Ok(Self { parameters })
    }

    /// activation(x · Wᵀ + b)
    ///
    /// # Shapes
    /// `x` `[tokens, in_features]` → `[tokens, out_features of all projections]`
    ///
    /// # Errors
    /// Where the shapes do not fit or the device fails.
    pub fn forward(&self, x: &States, activation: Activation) -> Result<States> {
        let panels = x.panels()?;
        match &self.parameters {
            Parameters::Host(projections) => {
                let y = host_forward(projections, x, panels, activation)?;
                Ok(States::new(y, panels.tokens))
            }
            Parameters::Device { weight, bias } => {
                let y = x.finished()?.matmul(&weight.t()?)?;
                if activation == Activation::None {
                    return Ok(States::with_bias(y, bias.clone(), panels.tokens));
                }
                cuda::bias_activation(&y, bias, activation)?;
                Ok(States::new(y, panels.tokens))
            }
        }
    }
}

fn host_forward(
    projections: &[HostProjection],
    x: &States,
    from: Panels,
    activation: Activation,
) -> Result<Tensor> {
    let projections: Vec<_> = projections.iter().filter_map(HostProjection::get).collect();
    let in_features = from.features;
    if projections
        .iter()
        .any(|it| it.weight.size() != it.out_features * in_features)
    {
        bail!("linear: the weight does not take {in_features} features");
    }
    let to = Panels {
        tokens: from.tokens,
        features: projections.iter().map(|it| it.out_features).sum(),
    };
    let kernel = |x: &[f32], out: SharedOut| {
        cpu::linear(x, from, &projections, activation, out);
    };
    // SAFETY: the kernel writes every output of every panel.
    let op = unsafe { HostOp::new("linear", to.size(), kernel) };
    op.apply(x.tensor(), to.shape())
}
