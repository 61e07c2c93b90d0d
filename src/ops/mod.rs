//! The operations of the encoder: linear, attention, add-and-layer-norm, embeddings, activations.
//!
//! Owns how each is computed on each device, and how the vectors between them are laid out
//! ([`States`]). Tensors are candle's; a batch's tokens lie end to end, so no operation touches
//! padding that nobody asked for. Leaves the order of the operations to `model/`.

use candle_core::{DType, Device, Result, Tensor};

use crate::checkpoint::{Dtype, TensorView};

mod attention;
#[cfg_attr(not(feature = "cuda"), path = "cuda/absent.rs")]
mod cuda;
mod download;
mod embeddings;
mod failure;
mod host;
mod kernel;
mod layer_norm;
mod linear;
mod sequences;
mod states;

pub use attention::attention;
pub use download::Download;
pub use embeddings::Embeddings;
pub use failure::{OutOfMemory, failed};
pub use kernel::{Activation, Level, Sequence};
pub use layer_norm::LayerNorm;
pub use linear::{Linear, Projection};
pub use sequences::Sequences;
pub use states::States;

/// A tensor of the checkpoint on `device`, as it is computed with there.
fn to_device(view: &TensorView, device: &Device, dtype: Dtype) -> Result<Tensor> {
    let view = view.at_most(dtype);
    if view.dtype() != dtype {
        return Tensor::from_vec(view.to_f32(), view.shape(), device);
    }
    let dtype = match dtype {
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
    };
    Tensor::from_raw_buffer(view.bytes(), dtype, view.shape(), device)
}
