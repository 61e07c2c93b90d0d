//! Where the encoder runs: `auto|cpu|cuda[:N]` → a device, or the reason why not.

use super::Level;
#[cfg(feature = "cuda")]
use super::cuda::{has_gpu, open_gpu};
use crate::error::{Error, Kind, Result};
use crate::notes;

/// The most tokens in a batch unless `--batch-tokens` says otherwise: enough to read weights
/// rarely, few enough that the output of one operation (6 MB at most for base) is still in the
/// cache when the next one reads it.
pub const BATCH_TOKENS: u32 = 512;

/// The same on a GPU.
pub const GPU_BATCH_TOKENS: u32 = 16_384;

/// Where the encoder runs.
#[derive(Clone)]
pub enum Device {
    /// The CPU.
    Cpu,
    /// A GPU by NVIDIA.
    #[cfg(feature = "cuda")]
    Cuda(candle_core::CudaDevice),
}

/// Where the encoder should run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A GPU if one answers, else the CPU.
    #[default]
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
/// [`Kind::Device`] if a GPU was asked for by name and does not answer.
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
    match device {
        Device::Cpu => "cpu".to_owned(),
        #[cfg(feature = "cuda")]
        Device::Cuda(gpu) => format!("cuda:{}", gpu.cuda_stream().context().ordinal()),
    }
}

/// The name with the instruction set or the model of the GPU, because each rounds in its own way.
#[must_use]
pub fn full_name(device: &Device) -> String {
    match device {
        Device::Cpu => format!("cpu ({:?})", Level::current()).to_lowercase(),
        #[cfg(feature = "cuda")]
        Device::Cuda(gpu) => match gpu.cuda_stream().context().name() {
            Ok(model) => format!("{} ({model})", name(device)),
            Err(_) => name(device),
        },
    }
}

/// The most tokens in a batch unless `--batch-tokens` says otherwise. A GPU is busy only with many
/// at once, and has plenty of memory for them: 1 GB at most for base.
#[must_use]
pub fn batch_tokens(device: &Device) -> usize {
    match device {
        Device::Cpu => BATCH_TOKENS as usize,
        #[cfg(feature = "cuda")]
        Device::Cuda(_) => GPU_BATCH_TOKENS as usize,
    }
}

/// Waits until the device has done what was asked of it; the CPU always has.
///
/// # Errors
/// [`Kind::Device`] if it has failed.
pub fn synchronize(device: &Device) -> Result<()> {
    match device {
        Device::Cpu => Ok(()),
        #[cfg(feature = "cuda")]
        Device::Cuda(gpu) => super::cuda::synchronize(gpu),
    }
}

/// Makes the allocator keep memory for the next layer instead of returning it to the system.
///
/// A layer's intermediates are megabytes that live for one operation: if they are given back each
/// time, their pages are cleared and mapped anew, which took 8 % of the samples of `perf record` in
/// a forward of 8 × 512 tokens.
pub fn reuse_memory() {
    // The most that glibc allows; larger blocks are still mapped one by one.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    const LARGEST_BYTES: i32 = 32 << 20;
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: both only set a number of the allocator's.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGEST_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
    }
}

/// The GPU with this number.
#[cfg(feature = "cuda")]
fn cuda(ordinal: usize) -> Result<Device> {
    let gpu = open_gpu(ordinal);
    gpu.map(Device::Cuda)
        .map_err(|cause| cause.context(unusable(ordinal)))
}

#[cfg(not(feature = "cuda"))]
fn cuda(ordinal: usize) -> Result<Device> {
    Err(Error::message(Kind::Device, "this build has no CUDA")
        .context(unusable(ordinal))
        .with_tip("build with --features cuda, or use --device cpu"))
}

fn unusable(ordinal: usize) -> String {
    format!("could not use the device `cuda:{ordinal}`")
}

#[cfg(not(feature = "cuda"))]
fn has_gpu() -> bool {
    false
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
