//! y = activation(x · Wᵀ + b), several projections of one input side by side.
//!
//! On the CPU the weights stay where the checkpoint has them; on a GPU they are one tensor.

use candle_core::{Device, Result, Tensor, bail};

use super::host::{HostOp, Parameter};
use super::{Activation, activation, kernel, to_device};
use crate::checkpoint::TensorView;

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
    /// `[out_features, in_features]` and `[out_features]` of all projections.
    Device {
        weight: Tensor,
        bias: Tensor,
    },
}

struct HostProjection {
    weight: Parameter,
    bias: Parameter,
}

impl Linear {
    /// The projections on `device`.
    ///
    /// # Errors
    /// Where the device has no memory for them.
    pub fn load(projections: &[Projection], device: &Device) -> Result<Self> {
        let host = |projection: &Projection| HostProjection {
            weight: Parameter::load(&projection.weight),
            bias: Parameter::load(&projection.bias),
        };
        let tensors = |part: fn(&Projection) -> &TensorView| {
            let parts: Result<Vec<_>> = projections
                .iter()
                .map(|projection| to_device(part(projection), device))
                .collect();
            Tensor::cat(&parts?, 0)
        };
        let parameters = if device.is_cpu() {
            Parameters::Host(projections.iter().map(host).collect())
        } else {
            Parameters::Device {
                weight: tensors(|it| &it.weight)?,
                bias: tensors(|it| &it.bias)?,
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
    pub fn forward(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        match &self.parameters {
            Parameters::Host(projections) => host_forward(projections, x, activation),
            Parameters::Device { weight, bias } => {
                let y = x.matmul(&weight.t()?)?.broadcast_add(bias)?;
                activation::forward(activation, y)
            }
        }
    }
}

fn host_forward(
    projections: &[HostProjection],
    x: &Tensor,
    activation: Activation,
) -> Result<Tensor> {
    let (rows, in_features) = x.dims2()?;
    let projections: Vec<_> = projections
        .iter()
        .map(|HostProjection { weight, bias }| kernel::Projection {
            weight: weight.values(),
            bias: Some(bias.values()),
            out_features: bias.values().len(),
        })
        .collect();
    if projections
        .iter()
        .any(|it| it.weight.len() != it.out_features * in_features)
    {
        bail!("linear: the weight does not take {in_features} features");
    }
    let out_features: usize = projections
        .iter()
        .map(|projection| projection.out_features)
        .sum();
    let kernel = |x: &[f32], out: &mut [f32]| {
        kernel::linear(x, rows, in_features, &projections, activation, out);
    };
    HostOp {
        name: "linear",
        shape: (rows, out_features).into(),
        kernel,
    }
    .apply(x)
}
