//! The operations of the encoder: linear, attention, add-and-layer-norm, embeddings, activations.
//!
//! Owns how each is computed on each device, and how the vectors between them are laid out
//! ([`States`]). Tensors are candle's; a batch's tokens lie end to end, so no operation touches
//! padding that nobody asked for. Leaves the order of the operations to `model/`.

use std::borrow::Cow;

use candle_core::{DType, Device, Result, Tensor, bail};

use crate::checkpoint::{Dtype, TensorView};
use crate::error::{Error, Kind};

mod attention;
mod cpu;
#[cfg_attr(not(feature = "cuda"), path = "cuda/absent.rs")]
mod cuda;
pub mod device;
mod download;
mod embeddings;
mod failure;
mod host;
mod layer_norm;
mod linear;
mod precision;
mod sequences;
mod states;

pub use attention::attention;
pub use cpu::{Activation, Level, Sequence};
pub use download::Download;
pub use embeddings::Embeddings;
pub use failure::{OutOfMemory, failed};
pub use layer_norm::LayerNorm;
pub use linear::{Linear, Projection};
pub use precision::Precision;
pub use sequences::Sequences;
pub use states::States;

/// Checks that the operations of `device` are made for rows and heads of these sizes.
///
/// # Errors
/// [`Kind::Device`], naming the size and the largest.
pub fn check_sizes(
    hidden_size: usize,
    head_dim: usize,
    device: &Device,
) -> crate::error::Result<()> {
    for (what, size, most) in [
        ("hidden_size", hidden_size, cuda::MAX_HIDDEN),
        ("a head's size", head_dim, cuda::MAX_HEAD_DIM),
    ] {
        if size > most && !device.is_cpu() {
            let cause = format!("{what} is {size}, on a GPU it is {most} at most");
            return Err(Error::message(Kind::Device, cause).with_tip("use --device cpu"));
        }
    }
    Ok(())
}

/// A tensor of the checkpoint on `device`, as it is computed with there.
fn to_device(view: &TensorView, device: &Device, dtype: Dtype) -> Result<Tensor> {
    from_bytes(&bytes_in(view, dtype), view.shape(), device, dtype)
}

/// Tensors of the checkpoint on `device`, one below the other.
///
/// # Shapes
/// `[rows, …]` each, the rest the same → `[all rows, …]`
fn stack_on_device(views: &[&TensorView], device: &Device, dtype: Dtype) -> Result<Tensor> {
    let [first, ..] = views else {
        bail!("there is nothing to put onto the device");
    };
    if views.len() == 1 {
        return to_device(first, device, dtype);
    }
    let mut shape = first.shape().to_vec();
    shape[0] = views.iter().map(|view| view.shape()[0]).sum();
    // On the host: candle's way on a GPU would have one more kernel compiled for it.
    let bytes: Vec<_> = views.iter().map(|view| bytes_in(view, dtype)).collect();
    from_bytes(&bytes.concat(), &shape, device, dtype)
}

/// The numbers of a tensor in `dtype`, as they lie in memory.
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

fn from_bytes(bytes: &[u8], shape: &[usize], device: &Device, dtype: Dtype) -> Result<Tensor> {
    let dtype = match dtype {
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
    };
    Tensor::from_raw_buffer(bytes, dtype, shape, device)
}
