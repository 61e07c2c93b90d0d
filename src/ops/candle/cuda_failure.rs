//! What CUDA's libraries report, as the user reads it.

use candle_core::cuda_backend::CudaError;
use candle_core::cuda_backend::cudarc::cublas::result::CublasError;
use candle_core::cuda_backend::cudarc::cublas::sys::cublasStatus_t;
use candle_core::cuda_backend::cudarc::driver::DriverError;
use candle_core::cuda_backend::cudarc::driver::sys::cudaError_enum;

use crate::error::{Error, Kind};
use crate::ops::OutOfMemory;

/// The error, if it is one of CUDA's libraries.
pub(super) fn cuda_failure(error: &candle_core::Error) -> Option<Error> {
    let message = match cuda_error(error)? {
        CudaError::Cuda(DriverError(cudaError_enum::CUDA_ERROR_OUT_OF_MEMORY))
        | CudaError::Cublas(CublasError(cublasStatus_t::CUBLAS_STATUS_ALLOC_FAILED)) => {
            let error = Error::new(Kind::Device, OutOfMemory);
            return Some(error.with_tip("use --device cpu, or --dtype f16 if it was f32"));
        }
        CudaError::Cuda(error) | CudaError::Load { cuda: error, .. } => driver_message(*error),
        CudaError::Cublas(CublasError(status)) => format!("cuBLAS failed ({status:?})"),
        other => other.to_string(),
    };
    Some(Error::message(Kind::Device, message).with_tip("use --device cpu"))
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

/// With the error's name, which NVIDIA's documentation lists.
fn driver_message(error: DriverError) -> String {
    match error.error_string() {
        Ok(message) => format!("{} ({:?})", message.to_string_lossy(), error.0),
        Err(_) => format!("{:?}", error.0),
    }
}
