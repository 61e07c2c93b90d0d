//! Tensors of the checkpoint → tensors on a GPU.

use std::borrow::Cow;

use candle_core::{CudaDevice, DType, Device, Result, Tensor, bail};

use crate::weights::{Dtype, TensorView};

/// Where tensors go to, and the type that the model computes in.
#[derive(Clone)]
pub(super) struct Upload {
    pub(super) device: Device,
    /// The type that wider tensors are rounded to.
    pub(super) dtype: Dtype,
}

impl Upload {
    pub(super) fn new(gpu: &CudaDevice, dtype: Dtype) -> Self {
        Self {
            device: Device::Cuda(gpu.clone()),
            dtype,
        }
    }

    /// `view` in the type that the model computes in.
    pub(super) fn computed_with(&self, view: &TensorView) -> Result<Tensor> {
        self.stacked(&[view])
    }

    /// `views` in the type that the model computes in, one below the other.
    ///
    /// # Shapes
    /// `[rows, …]` each, the rest the same → `[all rows, …]`
    pub(super) fn stacked(&self, views: &[&TensorView]) -> Result<Tensor> {
        self.stacked_in(views, self.dtype)
    }

    /// `views` in f32, rounded before to the type that the model computes in, one below the other.
    ///
    /// # Shapes
    /// As [`Upload::stacked`].
    pub(super) fn stacked_f32(&self, views: &[&TensorView]) -> Result<Tensor> {
        self.stacked_in(views, Dtype::F32)
    }

    fn stacked_in(&self, views: &[&TensorView], dtype: Dtype) -> Result<Tensor> {
        let [first, ..] = views else {
            bail!("there is nothing to put onto the device");
        };
        let mut shape = first.shape().to_vec();
        shape[0] = views.iter().map(|view| view.shape()[0]).sum();
        let rounded: Vec<_> = views.iter().map(|view| view.at_most(self.dtype)).collect();
        // Joined on the host: on a GPU, candle would compile one more kernel for it.
        let bytes: Vec<_> = rounded.iter().map(|view| bytes_in(view, dtype)).collect();
        match &bytes[..] {
            [one] => self.raw(one, &shape, dtype),
            several => self.raw(&several.concat(), &shape, dtype),
        }
    }

    fn raw(&self, bytes: &[u8], shape: &[usize], dtype: Dtype) -> Result<Tensor> {
        let dtype = match dtype {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
        };
        Tensor::from_raw_buffer(bytes, dtype, shape, &self.device)
    }
}

/// The numbers of a tensor in `dtype`, as they lie in memory; wider ones are rounded.
fn bytes_in(view: &TensorView, dtype: Dtype) -> Cow<'_, [u8]> {
    if view.dtype() == dtype {
        return view.bytes().into();
    }
    let view = view.at_most(dtype);
    if view.dtype() == dtype {
        return view.bytes().to_vec().into();
    }
    let numbers = view.to_f32();
    numbers.iter().copied().flat_map(f32::to_le_bytes).collect()
}
