//! Where the encoder runs: `auto|cpu|cuda[:N]` → a candle device, or the reason why not.

use candle_core::Device;

use crate::cli::DeviceChoice;
use crate::error::{Error, Kind, Result};

/// The device of `choice`; `auto` takes the first GPU that answers and else the CPU.
///
/// # Errors
/// [`Kind::Device`] where a GPU was asked for by name and does not answer.
pub fn open(choice: DeviceChoice) -> Result<Device> {
    match choice {
        DeviceChoice::Cpu => Ok(Device::Cpu),
        DeviceChoice::Auto => Ok(cuda(0).unwrap_or(Device::Cpu)),
        DeviceChoice::Cuda(ordinal) => cuda(ordinal),
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
    let what = format!("could not use the device `cuda:{ordinal}`");
    Err(Error::message(Kind::Device, "this build has no CUDA")
        .context(what)
        .with_tip("build with --features cuda, or use --device cpu"))
}

#[cfg(feature = "cuda")]
fn cuda(ordinal: usize) -> Result<Device> {
    Device::new_cuda(ordinal).map_err(|cause| {
        Error::new(Kind::Device, cause)
            .context(format!("could not use the device `cuda:{ordinal}`"))
    })
}
