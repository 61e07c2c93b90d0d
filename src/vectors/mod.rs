//! Makes vectors from vectors: pools tokens and words, merges layers, stitches windows together.
//!
//! It works on slices of numbers; `sentence_transformer/` reads what a model's own modules do.

mod options;
mod pooling;
mod sentence;
mod sentence_transformer;
mod text;

pub use options::{LayerMerge, Pooling};
pub(crate) use options::{PooledRows, VectorOptions};
pub(crate) use pooling::{all_finite, pool_rows};
pub use sentence_transformer::PoolingMode;
pub(crate) use sentence_transformer::{SentenceConfig, SentenceTransformer};
pub(crate) use text::{TextVectors, WindowOutputs};
