//! y = x · Wᵀ + b and what follows it.

use candle_core::{Device, Result, Tensor};

use super::{Activation, to_device};
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
    /// `[out_features, in_features]`
    weight: Tensor,
    /// `[out_features]`
    bias: Tensor,
}

impl Linear {
    /// The projections on `device`.
    ///
    /// # Errors
    /// Where the device has no memory for them.
    pub fn load(projections: &[Projection], device: &Device) -> Result<Self> {
        let tensors = |part: fn(&Projection) -> &TensorView| {
            let parts: Result<Vec<_>> = projections
                .iter()
                .map(|projection| to_device(part(projection), device))
                .collect();
            Tensor::cat(&parts?, 0)
        };
        Ok(Self {
            weight: tensors(|it| &it.weight)?,
            bias: tensors(|it| &it.bias)?,
        })
    }

    /// activation(x · Wᵀ + b)
    ///
    /// # Shapes
    /// `x` `[tokens, in_features]` → `[tokens, out_features of all projections]`
    ///
    /// # Errors
    /// Where the shapes do not fit or the device fails.
    pub fn forward(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        let y = x.matmul(&self.weight.t()?)?.broadcast_add(&self.bias)?;
        activation.forward(y)
    }
}
