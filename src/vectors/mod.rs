//! Vectors made of vectors: pooling of tokens and words, merging of layers, stitching of windows.
//!
//! This room works on slices of numbers only.

mod options;
mod pooling;
mod sentence;
mod text;

pub use options::{LayerMerge, Pooling, VectorOptions, WordPooling};
pub use pooling::pool_word;
pub use text::{TextVectors, WindowRows};
