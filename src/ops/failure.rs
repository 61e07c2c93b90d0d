//! What a failed operation means for a run: whether less at once would help.

use std::fmt;

use super::cuda;
use crate::error::{Error, Kind};

/// The device has no memory for what was asked of it; a smaller batch may fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfMemory;

impl fmt::Display for OutOfMemory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the GPU is out of memory")
    }
}

impl std::error::Error for OutOfMemory {}

/// The error of an operation, a [`Kind::Device`]; caused by [`OutOfMemory`] where that was it.
#[must_use]
pub fn failed(cause: candle_core::Error) -> Error {
    if cuda::is_out_of_memory(&cause) {
        return Error::new(Kind::Device, OutOfMemory)
            .with_tip("use --device cpu, or --dtype f16 where it was f32");
    }
    match cuda::cuda_says(&cause) {
        Some(words) => Error::message(Kind::Device, words).with_tip("use --device cpu"),
        None => Error::new(Kind::Device, without_backtrace(cause)),
    }
}

/// Candle's error tells where in the code it arose, if `RUST_BACKTRACE` is set, for whatever purpose.
fn without_backtrace(error: candle_core::Error) -> candle_core::Error {
    match error {
        candle_core::Error::WithBacktrace { inner, .. } => without_backtrace(*inner),
        error => error,
    }
}
