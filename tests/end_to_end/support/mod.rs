//! What the tests share: the built binary, checkpoints from a formula, a hub on loopback.

pub mod broken;
pub mod checkpoint;
pub mod command;
#[cfg(target_os = "linux")]
pub mod fault;
pub mod formula;
pub mod goldens;
pub mod kin;
#[cfg(feature = "hub")]
pub mod loopback;
pub mod pytorch_file;
pub mod random;
pub mod safetensors_file;
pub mod sources;
