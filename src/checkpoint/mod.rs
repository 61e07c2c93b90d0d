//! From a model's name to its files, its configuration and its tensors.
//!
//! Owns: a hub id or a directory → one directory of model files ([`locate`]); `config.json` →
//! [`Config`]; `*.safetensors` → [`Tensors`]. The only room that knows the hub, its cache and
//! `hf-hub`. Leaves the tokenizer's files to `tokenize.rs` and the meaning of the tensors to `model/`.

mod cache;
mod config;
mod credentials;
#[cfg(feature = "hub")]
mod download;
mod environment;
mod files;
mod half_precision;
#[cfg(feature = "hub")]
mod install;
mod json;
mod local_file;
mod locate;
#[cfg(feature = "hub")]
mod metadata;
mod names;
#[cfg(feature = "hub")]
mod progress;
#[cfg(feature = "hub")]
mod refusal;
mod repository;
mod safetensors_file;
mod shards;
mod tensor_view;
mod tensors;
mod verify;

pub use config::{Config, HiddenAct};
pub use credentials::{Proxy, Token};
#[cfg(feature = "hub")]
pub use environment::disable_telemetry;
pub use environment::{Environment, Timeouts};
pub use locate::{Snapshot, Source, locate};
pub use tensor_view::{Dtype, TensorView};
pub use tensors::Tensors;
pub use verify::{FileHash, verify};
