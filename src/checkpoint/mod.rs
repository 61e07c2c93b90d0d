//! A directory of model files: `config.json` → [`Config`], `model.safetensors` or
//! `pytorch_model.bin` → [`Tensors`].

mod config;
mod directory;
pub(crate) mod files;
mod guard;
mod half_precision;
mod json;
mod local_file;
pub(crate) mod modules;
pub(crate) mod names;
mod pytorch;
mod safetensors_file;
mod sentence_transformer;
mod stored_tensor;
mod tensor_view;
mod tensors;
pub(crate) mod weight_files;
mod weights;

pub use config::{Config, HiddenAct};
pub(crate) use guard::WeightGuard;
pub(crate) use sentence_transformer::{
    Dense, DenseActivation, PoolingMode, SentenceConfig, SentenceLayer, SentenceTransformer,
};
pub use tensor_view::{Dtype, TensorView};
pub use tensors::Tensors;
pub(crate) use weight_files::WeightFormat;
