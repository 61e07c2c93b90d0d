//! The operations of the encoder: linear, attention, add-and-layer-norm, embeddings, activations.
//!
//! Owns how each is computed on each device. Tensors are candle's; a batch's tokens lie end to
//! end, `[tokens, hidden]`, so no operation touches padding that nobody asked for. Leaves the
//! order of the operations to `model/`.

use candle_core::{Device, Result, Tensor};

use crate::checkpoint::TensorView;

mod activation;
mod attention;
mod embeddings;
mod layer_norm;
mod linear;

pub use activation::Activation;
pub use attention::attention;
pub use embeddings::Embeddings;
pub use layer_norm::LayerNorm;
pub use linear::{Linear, Projection};

/// Where one sequence lies among the tokens of a batch, and which of its keys are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence {
    /// Row of its first token.
    pub start: usize,
    /// Rows of the sequence, padding included.
    pub tokens: usize,
    /// Leading rows that are real tokens; every row attends to these and to no other.
    pub attended: usize,
}

/// A tensor of the checkpoint in f32 on `device`.
fn to_device(view: &TensorView, device: &Device) -> Result<Tensor> {
    Tensor::from_vec(view.to_f32(), view.shape(), device)
}
