//! Tests of the library alone: the import graph, `Embedder`, the cache, the hub on loopback, the
//! files of a model and of its tokenizer.

mod arrows;
mod cache;
mod embedder;
mod embedder_api;
mod hostile_tokenizers;
mod house;
#[cfg(feature = "hub")]
mod hub;
mod large_vocabulary;
pub mod layouts;
mod lookups;
mod model_files;
