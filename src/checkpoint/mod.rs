//! From a model's name to its files, its configuration and its tensors.
//!
//! Owns: a hub id or a directory → one directory of model files ([`locate`]); `config.json` →
//! [`Config`]; `*.safetensors` → [`Tensors`]. The only room that knows the hub, its cache and
//! `hf-hub`. Leaves the tokenizer's files to `tokenize.rs` and the meaning of the tensors to `model/`.
