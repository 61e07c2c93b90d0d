//! Takes the place of `gpu.rs` in a build without CUDA.

use candle_core::Device;

use crate::error::{Error, Kind, Result};

pub(in crate::ops) fn open_gpu(_ordinal: usize) -> Result<Device> {
    Err(Error::message(Kind::Device, "this build has no CUDA")
        .with_tip("build with --features cuda, or use --device cpu"))
}

pub(in crate::ops) fn has_gpu() -> bool {
    false
}

pub(in crate::ops) fn gpu_name(_device: &Device) -> Option<String> {
    None
}
