//! The weights of a model: `model.safetensors` or `pytorch_model.bin` → [`Tensors`], found by their
//! names and used in place.

mod guard;
mod half_precision;
pub(crate) mod names;
mod pytorch;
mod safetensors_file;
pub(crate) mod shards;
mod stored_tensor;
mod tensor_view;
mod tensors;

pub(crate) use guard::WeightGuard;
pub(crate) use safetensors_file::shape_text;
pub use tensor_view::{Dtype, TensorView};
pub use tensors::Tensors;
pub(crate) use tensors::wrong_shape;
