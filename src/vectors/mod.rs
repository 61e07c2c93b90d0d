//! Makes vectors from vectors: pools tokens and words, merges layers, stitches windows together.
//!
//! This room works on slices of numbers only.

mod options;
mod pooling;
mod sentence;
mod text;

pub(crate) use options::VectorOptions;
pub use options::{LayerMerge, Pooling, WordPooling};
pub(crate) use pooling::pool_word;
pub(crate) use text::{TextVectors, WindowRows};
