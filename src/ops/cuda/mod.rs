//! GPUs by NVIDIA: our kernels (`*.cu`) on candle's tensors, cuBLAS for the matrix products.
//!
//! Vectors are in the type that the model computes in; biases and norms, which are few, in f32. A
//! launch returns before the GPU has begun; everything is in order on the device's one stream.
//! Candle's own kernels are not used: each file of them would be compiled anew for a GPU.

mod backend;
mod cause;
mod definitions;
mod download;
mod gpu;
mod launch;
mod launches;
mod open;
mod tiles;
mod upload;

pub(crate) use backend::Cuda;
pub(super) use download::CudaDownload;
pub(super) use open::{has_gpu, open_gpu, synchronize};
