//! The one integration binary: the built `bert-embed`, its library and its oracles.

mod cache;
#[cfg(feature = "hub")]
mod hub;
mod model_files;
mod support;
