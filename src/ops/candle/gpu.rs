//! Opens an NVIDIA GPU through candle, or says what is missing.

use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::sys::cudaError_enum;
use candle_core::cuda_backend::cudarc::driver::{CudaContext, DriverError};
use candle_core::{CudaDevice, Device};

use super::failure::failed;
use crate::error::{Error, Kind, Result};

/// The libraries that are required, each with the names under which tests/cuda/lazy.py loads it.
const LIBRARIES: [&[&str]; 3] = [
    &["libcuda.so.1"],
    &["libcublas.so.13", "libcublas.so.12", "libcublas.so"],
    &["libcurand.so.10", "libcurand.so"],
];

/// The GPU with this number.
///
/// # Errors
/// What is missing: the driver, CUDA's libraries, or the GPU.
pub(in crate::ops) fn open_gpu(ordinal: usize) -> Result<Device> {
    check_libraries()?;
    let count = match CudaContext::device_count() {
        Err(DriverError(cudaError_enum::CUDA_ERROR_NO_DEVICE)) => 0,
        counted => counted.w().map_err(failed).map_err(on_cpu)?,
    };
    if usize::try_from(count).is_ok_and(|count| ordinal < count) {
        return open(ordinal).map_err(failed).map_err(on_cpu);
    }
    let refuse = |cause| Err(Error::message(Kind::Device, cause));
    match count {
        0 => refuse("there is no GPU".to_owned()).map_err(on_cpu),
        1 => refuse("there is 1 GPU, cuda:0".to_owned()).map_err(on_first),
        _ => {
            let cause = format!("there are {count} GPUs, cuda:0 to cuda:{}", count - 1);
            refuse(cause).map_err(on_first)
        }
    }
}

fn on_cpu(error: Error) -> Error {
    error.with_tip("use --device cpu")
}

fn on_first(error: Error) -> Error {
    error.with_tip("use --device cuda:0")
}

/// The GPU with a stream that all threads share: candle's default one is another in each thread,
/// and the weights are loaded in one thread and used in another.
fn open(ordinal: usize) -> candle_core::Result<Device> {
    let gpu = CudaDevice::new_with_stream(ordinal)?;
    // SAFETY: every tensor is made, used and freed on this one stream, in order.
    unsafe {
        gpu.disable_event_tracking();
    }
    Ok(Device::Cuda(gpu))
}

fn check_libraries() -> Result<()> {
    let Some(place) = LIBRARIES.iter().position(|names| !is_installed(names)) else {
        return Ok(());
    };
    let what = match place {
        0 => "there is no NVIDIA driver",
        _ => "CUDA's libraries are not installed",
    };
    let cause = format!("{what}: {} was not found", LIBRARIES[place][0]);
    Err(on_cpu(Error::message(Kind::Device, cause)))
}

/// Whether a library of one of the `names` can be loaded; it stays loaded.
#[cfg(unix)]
fn is_installed(names: &[&str]) -> bool {
    names.iter().any(|name| {
        std::ffi::CString::new(*name).is_ok_and(|name| {
            // SAFETY: the name ends with a zero byte; loading these libraries has no effect beyond
            // what every user of a GPU gets.
            unsafe { !libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL).is_null() }
        })
    })
}

/// It is, or this process would not have started.
#[cfg(not(unix))]
fn is_installed(_names: &[&str]) -> bool {
    true
}

/// Whether there is a driver and a GPU for it.
pub(in crate::ops) fn has_gpu() -> bool {
    is_installed(LIBRARIES[0]) && CudaContext::device_count().is_ok_and(|count| count > 0)
}

pub(in crate::ops) fn gpu_name(device: &Device) -> Option<String> {
    let gpu = device.as_cuda_device().ok()?;
    gpu.cuda_stream().context().name().ok()
}
