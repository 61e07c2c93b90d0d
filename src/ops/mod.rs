//! The operations of the encoder: linear, attention, add-and-layer-norm, embeddings, activations.
//!
//! Owns how each is computed on each device, and how the vectors between them are laid out
//! ([`States`]). Tensors are candle's; a batch's tokens lie end to end, so no operation touches
//! padding that nobody asked for. Leaves the order of the operations to `model/`.

use candle_core::{Device, Result, Tensor};

use crate::checkpoint::TensorView;

mod activation;
mod attention;
mod embeddings;
mod host;
mod kernel;
mod layer_norm;
mod linear;
mod states;

pub use attention::attention;
pub use embeddings::Embeddings;
pub use kernel::{Activation, Level, Sequence};
pub use layer_norm::LayerNorm;
pub use linear::{Linear, Projection};
pub use states::States;

/// A tensor of the checkpoint in f32 on `device`.
fn to_device(view: &TensorView, device: &Device) -> Result<Tensor> {
    Tensor::from_vec(view.to_f32(), view.shape(), device)
}
