//! What the tests share: the built binary, checkpoints from a formula, a hub on loopback.

pub mod checkpoint;
pub mod command;
pub mod formula;
pub mod goldens;
pub mod safetensors_file;
