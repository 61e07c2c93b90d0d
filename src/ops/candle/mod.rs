//! The encoder on candle's operations, for NVIDIA GPUs.
//!
//! Vectors are rows in the precision of the weights; embeddings are added, normalized, and scores
//! become probabilities in f32. A GPU's operations return before they are computed, and run in
//! order on one stream.
//!
//! Everything but candle's kernels also runs on candle's CPU device, where the tests compare it
//! with transformers (`--device candle-cpu`, which `--help` does not list).

mod attention;
mod backend;
#[cfg(feature = "cuda")]
mod cuda_failure;
mod failure;
#[cfg_attr(not(feature = "cuda"), path = "no_gpu.rs")]
mod gpu;

pub(crate) use backend::Candle;
pub(super) use failure::failed;
pub(super) use gpu::{gpu_name, has_gpu, open_gpu};
