//! Where the encoder runs: `auto|cpu|cuda[:N]` → a candle device, or the reason why not.

use candle_core::{Device, DeviceLocation};

use crate::error::{Error, Kind, Result};
use crate::notes;

/// Tokens that the encoder takes at once where nothing else is said: enough that weights are read
/// seldom, few enough that what one operation writes (6 MB at most for base) is still near the cores
/// when the next one reads it.
pub const BATCH_TOKENS: u32 = 512;

/// The same on a GPU.
pub const GPU_BATCH_TOKENS: u32 = 16_384;

/// Where the encoder runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A GPU where one answers, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU with this number.
    Cuda(usize),
}

impl std::str::FromStr for DeviceChoice {
    type Err = String;

    fn from_str(value: &str) -> std::result::Result<Self, String> {
        match value.split_once(':') {
            None if value == "auto" => Ok(Self::Auto),
            None if value == "cpu" => Ok(Self::Cpu),
            None if value == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", ordinal)) if ordinal.bytes().all(|byte| byte.is_ascii_digit()) => ordinal
                .parse()
                .map(Self::Cuda)
                .map_err(|_| format!("no GPU has the number `{ordinal}`")),
            _ => Err("possible values: auto, cpu, cuda, cuda:N".to_owned()),
        }
    }
}

/// The device of `choice`. `auto` takes the first GPU that answers, or else the CPU; if there is a
/// GPU that does not answer, a note says why.
///
/// # Errors
/// [`Kind::Device`] where a GPU was asked for by name and does not answer.
pub fn open(choice: DeviceChoice) -> Result<Device> {
    match choice {
        DeviceChoice::Cpu => Ok(Device::Cpu),
        DeviceChoice::Auto => Ok(cuda(0).unwrap_or_else(|error| {
            if has_gpu() {
                notes::note(&format!("{error}: going on with the CPU"));
            }
            Device::Cpu
        })),
        DeviceChoice::Cuda(ordinal) => cuda(ordinal),
    }
}

/// As `--device` has it: `cpu`, `cuda:N`.
#[must_use]
pub fn name(device: &Device) -> String {
    match device.location() {
        DeviceLocation::Cpu => "cpu".to_owned(),
        DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
    }
}

/// The device with what it is called: other GPUs round in orders of their own.
#[must_use]
pub fn full_name(device: &Device) -> String {
    #[cfg(feature = "cuda")]
    if let Ok(gpu) = device.as_cuda_device()
        && let Ok(model) = gpu.cuda_stream().context().name()
    {
        return format!("{} ({model})", name(device));
    }
    name(device)
}

/// Tokens that the encoder takes at once where nothing else is said. A GPU needs many at once to be
/// busy, and of what they need, 1 GB at most for base, it has plenty.
#[must_use]
pub fn batch_tokens(device: &Device) -> usize {
    if device.is_cpu() {
        BATCH_TOKENS as usize
    } else {
        GPU_BATCH_TOKENS as usize
    }
}

/// Sets the number of threads that the encoder and the formatting share.
///
/// # Errors
/// [`Kind::Device`] where the system refuses the threads.
pub fn set_threads(threads: Option<u16>) -> Result<()> {
    // Knows the affinity mask and the cgroup's quota, which candle's own count does not.
    let available = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = threads.map_or_else(available, usize::from);
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .map_err(|cause| {
            Error::new(Kind::Device, cause).context(format!("could not start {threads} threads"))
        })
}

/// Has the allocator keep what it has for the next layer instead of returning it to the system.
///
/// A layer's intermediates are megabytes that live for one operation: given back each time, their
/// pages are cleared and mapped anew, where `perf record` showed 8 % of the samples of a forward of
/// 8 × 512 tokens.
pub fn reuse_memory() {
    // What glibc allows at most; a larger block is mapped by itself all the same.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    const LARGEST_BYTES: i32 = 32 << 20;
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: both only set a number of the allocator's.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGEST_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
    }
}

#[cfg(not(feature = "cuda"))]
fn cuda(ordinal: usize) -> Result<Device> {
    refused(
        ordinal,
        Error::message(Kind::Device, "this build has no CUDA"),
        "build with --features cuda, or use --device cpu",
    )
}

#[cfg(not(feature = "cuda"))]
fn has_gpu() -> bool {
    false
}

#[cfg(feature = "cuda")]
use nvidia::{cuda, has_gpu};

fn refused<T>(ordinal: usize, cause: Error, tip: impl Into<String>) -> Result<T> {
    let what = format!("could not use the device `cuda:{ordinal}`");
    Err(cause.context(what).with_tip(tip))
}

/// GPUs by NVIDIA, through candle.
#[cfg(feature = "cuda")]
mod nvidia {
    use candle_core::Device;
    use candle_core::cuda_backend::WrapErr;
    use candle_core::cuda_backend::cudarc::driver::sys::cudaError_enum;
    use candle_core::cuda_backend::cudarc::driver::{CudaContext, DriverError};

    use super::refused;
    use crate::error::{Error, Kind, Result};
    use crate::ops::failed;

    /// The libraries without which nothing works, each with the names under which it is looked for;
    /// the driver is the first.
    const LIBRARIES: [&[&str]; 4] = [
        &["libcuda.so.1"],
        &["libcublas.so.13", "libcublas.so.12", "libcublas.so"],
        &["libcurand.so.10", "libcurand.so"],
        &["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"],
    ];

    /// The oldest compute capability that CUDA 13 compiles for.
    const TURING: (i32, i32) = (7, 5);

    pub(super) fn cuda(ordinal: usize) -> Result<Device> {
        if let Some(place) = LIBRARIES.iter().position(|names| !is_there(names)) {
            let what = match place {
                0 => "there is no NVIDIA driver",
                _ => "CUDA's libraries are not installed",
            };
            let cause = format!("{what}: {} was not found", LIBRARIES[place][0]);
            let cause = Error::message(Kind::Device, cause);
            return refused(ordinal, cause, "use --device cpu");
        }
        let count = match CudaContext::device_count() {
            Err(DriverError(cudaError_enum::CUDA_ERROR_NO_DEVICE)) => 0,
            counted => counted
                .w()
                .map_err(failed)
                .or_else(|cause| refused(ordinal, cause, "use --device cpu"))?,
        };
        if usize::try_from(count).is_ok_and(|count| ordinal >= count) {
            let (cause, tip) = match count {
                0 => ("there is no GPU".to_owned(), "use --device cpu"),
                1 => ("there is 1 GPU, cuda:0".to_owned(), "use --device cuda:0"),
                _ => (
                    format!("there are {count} GPUs, cuda:0 to cuda:{}", count - 1),
                    "use --device cuda:0",
                ),
            };
            return refused(ordinal, Error::message(Kind::Device, cause), tip);
        }
        open(ordinal).or_else(|cause| refused(ordinal, cause, "use --device cpu"))
    }

    /// Whether the driver is there, and something that it drives.
    pub(super) fn has_gpu() -> bool {
        is_there(LIBRARIES[0]) && CudaContext::device_count().is_ok_and(|count| count > 0)
    }

    /// The GPU with a stream of its own: candle's usual one is another in each thread.
    fn open(ordinal: usize) -> Result<Device> {
        let device = Device::new_cuda_with_stream(ordinal).map_err(failed)?;
        let gpu = device.as_cuda_device().map_err(failed)?;
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
        Ok(device)
    }

    /// Whether a library of one of the `names` can be loaded; it stays so.
    #[cfg(unix)]
    fn is_there(names: &[&str]) -> bool {
        names.iter().any(|name| {
            std::ffi::CString::new(*name).is_ok_and(|name| {
                // SAFETY: the name ends with a zero byte; what the libraries do when they are loaded
                // they do for whoever uses a GPU.
                unsafe {
                    !libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL).is_null()
                }
            })
        })
    }

    /// The system has loaded them, or this process would not have started.
    #[cfg(not(unix))]
    fn is_there(_: &[&str]) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_parsed_or_refused() {
        assert_eq!("cuda:3".parse(), Ok(DeviceChoice::Cuda(3)));
        for wrong in ["", "gpu", "cuda:", "cuda:-1", "cuda:99999999999999999999"] {
            assert!(
                wrong.parse::<DeviceChoice>().is_err(),
                "{wrong:?} was taken"
            );
        }
    }
}
