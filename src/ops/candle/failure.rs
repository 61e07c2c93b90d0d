//! An error of candle → an error as the user reads it.

#[cfg(feature = "cuda")]
use super::cuda_failure::cuda_failure;
use crate::error::{Error, Kind};

/// The error of an operation, of [`Kind::Device`]. Its cause is [`crate::ops::OutOfMemory`] if
/// memory ran out.
pub(in crate::ops) fn failed(cause: candle_core::Error) -> Error {
    #[cfg(feature = "cuda")]
    if let Some(error) = cuda_failure(&cause) {
        return error;
    }
    Error::new(Kind::Device, without_backtrace(cause))
}

/// If `RUST_BACKTRACE` is set, candle's error also names the place in its code.
fn without_backtrace(error: candle_core::Error) -> candle_core::Error {
    match error {
        candle_core::Error::WithBacktrace { inner, .. } => without_backtrace(*inner),
        error => error,
    }
}
