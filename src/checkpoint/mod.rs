//! A directory of model files: `config.json` → [`Config`], `*.safetensors` → [`Tensors`].

mod config;
pub(crate) mod files;
mod half_precision;
mod json;
mod local_file;
pub(crate) mod names;
mod safetensors_file;
mod tensor_view;
mod tensors;
mod weights;

pub use config::{Config, HiddenAct};
pub use tensor_view::{Dtype, TensorView};
pub use tensors::Tensors;
