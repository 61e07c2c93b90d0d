//! Opens a GPU by NVIDIA through candle, or says what is missing.

use candle_core::CudaDevice;
use candle_core::backend::BackendDevice;
use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::sys::cudaError_enum;
use candle_core::cuda_backend::cudarc::driver::{CudaContext, DriverError};

use super::cause::failed;
use crate::error::{Error, Kind, Result};

/// The libraries that are required, each with the names under which it is looked for; the driver
/// comes first.
const LIBRARIES: [&[&str]; 4] = [
    &["libcuda.so.1"],
    &["libcublas.so.13", "libcublas.so.12", "libcublas.so"],
    &["libcurand.so.10", "libcurand.so"],
    &["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"],
];

/// The oldest compute capability that CUDA 13 compiles for.
const TURING: (i32, i32) = (7, 5);

/// The GPU with this number.
///
/// # Errors
/// What is missing: the driver, CUDA's libraries, the GPU, or a new enough one.
pub(in crate::ops) fn open_gpu(ordinal: usize) -> Result<CudaDevice> {
    check_libraries()?;
    let count = match CudaContext::device_count() {
        Err(DriverError(cudaError_enum::CUDA_ERROR_NO_DEVICE)) => 0,
        counted => counted.w().map_err(failed).map_err(on_cpu)?,
    };
    if usize::try_from(count).is_ok_and(|count| ordinal < count) {
        return open(ordinal).map_err(on_cpu);
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

fn check_libraries() -> Result<()> {
    let Some(place) = LIBRARIES.iter().position(|names| !is_there(names)) else {
        return Ok(());
    };
    let what = match place {
        0 => "there is no NVIDIA driver",
        _ => "CUDA's libraries are not installed",
    };
    let cause = format!("{what}: {} was not found", LIBRARIES[place][0]);
    Err(on_cpu(Error::message(Kind::Device, cause)))
}

fn on_cpu(error: Error) -> Error {
    error.with_tip("use --device cpu")
}

fn on_first(error: Error) -> Error {
    error.with_tip("use --device cuda:0")
}

/// Waits until the GPU has done what was asked of it.
pub(in crate::ops) fn synchronize(gpu: &CudaDevice) -> Result<()> {
    gpu.synchronize().map_err(failed)
}

/// Whether there is a driver and a GPU for it.
pub(in crate::ops) fn has_gpu() -> bool {
    is_there(LIBRARIES[0]) && CudaContext::device_count().is_ok_and(|count| count > 0)
}

/// The GPU with a stream of its own: candle's default one differs in each thread.
fn open(ordinal: usize) -> Result<CudaDevice> {
    let gpu = CudaDevice::new_with_stream(ordinal).map_err(failed)?;
    // SAFETY: every tensor is made, used and freed on this one stream, in order; the one other
    // stream, of downloads, waits by events of its own, and keeps its tensor until it has ended.
    unsafe {
        gpu.disable_event_tracking();
    }
    let stream = gpu.cuda_stream();
    let capability = stream.context().compute_capability();
    let (major, minor) = capability.w().map_err(failed)?;
    if (major, minor) < TURING {
        let got = format!("the GPU is too old: compute capability {major}.{minor}");
        let (major, minor) = TURING;
        let cause = format!("{got}, at least {major}.{minor} is needed");
        return Err(Error::message(Kind::Device, cause));
    }
    Ok(gpu)
}

/// Whether a library of one of the `names` can be loaded; it stays loaded.
#[cfg(unix)]
fn is_there(names: &[&str]) -> bool {
    names.iter().any(|name| {
        std::ffi::CString::new(*name).is_ok_and(|name| {
            // SAFETY: the name ends with a zero byte; loading these libraries has no effect beyond
            // what every user of a GPU gets.
            unsafe { !libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL).is_null() }
        })
    })
}

/// They are loaded, or this process would not have started.
#[cfg(not(unix))]
fn is_there(_: &[&str]) -> bool {
    true
}
