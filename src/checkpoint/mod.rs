//! From a model's name to its files, its configuration and its tensors.
//!
//! Owns: a hub id or a directory → one directory of model files ([`locate`]); `config.json` →
//! [`Config`]; `*.safetensors` → [`Tensors`]. The only room that knows the hub, its cache and
//! `hf-hub`. Leaves the tokenizer's files to `tokenize.rs` and the meaning of the tensors to `model/`.

mod config;
mod json;
mod local_file;
mod names;
mod safetensors_file;
mod shards;
mod tensor_view;
mod tensors;

pub use config::{Config, HiddenAct};
pub use tensor_view::{Dtype, TensorView};
pub use tensors::Tensors;
