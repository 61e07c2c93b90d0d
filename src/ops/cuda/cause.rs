//! An error of candle on a GPU → an error as the user reads it.

use candle_core::cuda_backend::CudaError;
use candle_core::cuda_backend::cudarc::cublas::result::CublasError;
use candle_core::cuda_backend::cudarc::cublas::sys::cublasStatus_t;
use candle_core::cuda_backend::cudarc::driver::DriverError;
use candle_core::cuda_backend::cudarc::driver::sys::cudaError_enum;
use candle_core::cuda_backend::cudarc::nvrtc::CompileError;

use crate::error::{Error, Kind};
use crate::ops::OutOfMemory;

/// The error of an operation, a [`Kind::Device`]; caused by [`OutOfMemory`] if that was it.
pub(super) fn failed(cause: candle_core::Error) -> Error {
    if is_out_of_memory(&cause) {
        return Error::new(Kind::Device, OutOfMemory)
            .with_tip("use --device cpu, or --dtype f16 where it was f32");
    }
    match cuda_says(&cause) {
        Some(words) => Error::message(Kind::Device, words).with_tip("use --device cpu"),
        None => Error::new(Kind::Device, without_backtrace(cause)),
    }
}

/// If `RUST_BACKTRACE` is set, candle's error also names the place in its code.
fn without_backtrace(error: candle_core::Error) -> candle_core::Error {
    match error {
        candle_core::Error::WithBacktrace { inner, .. } => without_backtrace(*inner),
        error => error,
    }
}

/// Whether the GPU, or the host's memory for its results, was full.
fn is_out_of_memory(error: &candle_core::Error) -> bool {
    matches!(
        cuda_error(error),
        Some(
            CudaError::Cuda(DriverError(cudaError_enum::CUDA_ERROR_OUT_OF_MEMORY))
                | CudaError::Cublas(CublasError(cublasStatus_t::CUBLAS_STATUS_ALLOC_FAILED))
        )
    )
}

/// What CUDA's libraries say of their error; none for any other error.
fn cuda_says(error: &candle_core::Error) -> Option<String> {
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

fn cuda_error(error: &candle_core::Error) -> Option<&CudaError> {
    use candle_core::Error;
    match error {
        Error::WithBacktrace { inner, .. }
        | Error::Context { inner, .. }
        | Error::WithPath { inner, .. } => cuda_error(inner),
        Error::Cuda(cause) => cause.downcast_ref(),
        _ => None,
    }
}

/// An error of the driver with its name, which NVIDIA's documentation lists.
fn words(error: DriverError) -> String {
    match error.error_string() {
        Ok(words) => format!("{} ({:?})", words.to_string_lossy(), error.0),
        Err(_) => format!("{:?}", error.0),
    }
}
