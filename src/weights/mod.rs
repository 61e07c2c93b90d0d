//! The weights of a model: `model.safetensors` or `pytorch_model.bin` → [`Tensors`], found by their
//! names and used in place.

mod guard;
mod half_precision;
pub(crate) mod names;
mod prefix;
mod pytorch;
mod safetensors_file;
mod shards;
mod stored_tensor;
mod tensor_view;
mod tensors;

pub(crate) use guard::WeightGuard;
pub(crate) use shards::open;
pub use tensor_view::{Dtype, TensorView};
pub use tensors::Tensors;
