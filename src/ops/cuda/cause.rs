//! What stands behind an error of candle's on a GPU, in words.

use candle_core::Error;
use candle_core::cuda_backend::CudaError;
use candle_core::cuda_backend::cudarc::cublas::result::CublasError;
use candle_core::cuda_backend::cudarc::cublas::sys::cublasStatus_t;
use candle_core::cuda_backend::cudarc::driver::DriverError;
use candle_core::cuda_backend::cudarc::driver::sys::cudaError_enum;

/// Whether the GPU, or the host's memory for its results, had no room.
pub(in super::super) fn is_out_of_memory(error: &Error) -> bool {
    matches!(
        cuda_error(error),
        Some(
            CudaError::Cuda(DriverError(cudaError_enum::CUDA_ERROR_OUT_OF_MEMORY))
                | CudaError::Cublas(CublasError(cublasStatus_t::CUBLAS_STATUS_ALLOC_FAILED))
        )
    )
}

/// What the driver says of its error, none where it is another's.
pub(in super::super) fn driver_says(error: &Error) -> Option<String> {
    match cuda_error(error)? {
        CudaError::Cuda(error) => Some(words(*error)),
        _ => None,
    }
}

fn cuda_error(error: &Error) -> Option<&CudaError> {
    match error {
        Error::WithBacktrace { inner, .. }
        | Error::Context { inner, .. }
        | Error::WithPath { inner, .. } => cuda_error(inner),
        Error::Cuda(cause) => cause.downcast_ref(),
        _ => None,
    }
}

/// An error of the driver with its name, by which it is found in NVIDIA's documentation.
pub(crate) fn words(error: DriverError) -> String {
    match error.error_string() {
        Ok(words) => format!("{} ({:?})", words.to_string_lossy(), error.0),
        Err(_) => format!("{:?}", error.0),
    }
}
