//! Tests of the library alone: the cache, the hub on loopback, the files of a model.

mod cache;
#[cfg(feature = "hub")]
mod hub;
mod model_files;
