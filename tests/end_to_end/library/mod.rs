//! Tests of the library alone: the import graph, the cache, the hub on loopback, the files of a
//! model and of its tokenizer.

mod arrows;
mod cache;
mod hostile_tokenizers;
#[cfg(feature = "hub")]
mod hub;
mod layouts;
mod lookups;
mod model_files;
