//! Vectors made of vectors: pooling, words, merged layers, stitched windows.

mod options;
pub mod pooling;
mod stitch;
pub mod words;

pub use options::{LayerMerge, Pooling, WordPooling};
pub use stitch::TextVectors;
