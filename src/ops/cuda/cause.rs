//! What stands behind an error of candle's on a GPU, in words.

use candle_core::Error;
use candle_core::cuda_backend::CudaError;
use candle_core::cuda_backend::cudarc::cublas::result::CublasError;
use candle_core::cuda_backend::cudarc::cublas::sys::cublasStatus_t;
use candle_core::cuda_backend::cudarc::driver::DriverError;
use candle_core::cuda_backend::cudarc::driver::sys::cudaError_enum;
use candle_core::cuda_backend::cudarc::nvrtc::CompileError;

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

/// What CUDA's libraries say of their error, none where it is another's.
pub(in super::super) fn cuda_says(error: &Error) -> Option<String> {
    Some(match cuda_error(error)? {
        CudaError::Cuda(error) => words(*error),
        CudaError::Cublas(CublasError(status)) => format!("cuBLAS failed ({status:?})"),
        CudaError::Compiler(error) => {
            let log = match error {
                CompileError::CompileError { log, .. } => log.to_string_lossy(),
                _ => "".into(),
            };
            let line = log.lines().find(|line| !line.trim().is_empty());
            format!(
                "NVRTC could not compile the kernels: {}",
                line.unwrap_or("it says no more")
            )
        }
        other => other.to_string(),
    })
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
fn words(error: DriverError) -> String {
    match error.error_string() {
        Ok(words) => format!("{} ({:?})", words.to_string_lossy(), error.0),
        Err(_) => format!("{:?}", error.0),
    }
}
