//! What the tests share: the built binary, checkpoints from a formula, a hub on loopback.

pub mod broken;
pub mod command;
#[cfg(feature = "hub")]
pub(crate) mod loopback;
