//! Tests of the library alone: the import graph, the cache, the hub on loopback, the files of a model.

mod arrows;
mod cache;
#[cfg(feature = "hub")]
mod hub;
mod lookups;
mod model_files;
