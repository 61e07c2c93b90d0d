//! Where the encoder runs: `auto|cpu|cuda[:N]` → a device, or why it cannot be used.

use candle_core::DeviceLocation;

use super::Level;
use super::candle::{failed, gpu_name, has_gpu, open_gpu};
use crate::error::Result;
use crate::notes;

/// The default of `--batch-tokens` on the CPU: enough to read weights rarely, few enough that the
/// output of one operation (6 MB at most for base) is still in the cache when the next one reads
/// it.
pub const BATCH_TOKENS: u32 = 512;

/// The default of `--batch-tokens` on a GPU, which needs many tokens at once to be busy.
pub const GPU_BATCH_TOKENS: u32 = 16_384;

/// Where the encoder runs.
#[derive(Clone)]
pub enum Device {
    /// The CPU, with our own kernels.
    Cpu,
    /// An NVIDIA GPU, or the CPU, with candle's operations.
    Candle(candle_core::Device),
}

/// Where the encoder should run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first GPU if it can be used, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU with this number.
    Cuda(usize),
    /// The CPU with the operations that a GPU runs, to test them; not in `--help`.
    CandleCpu,
}

impl std::str::FromStr for DeviceChoice {
    type Err = String;

    fn from_str(value: &str) -> std::result::Result<Self, String> {
        match value.split_once(':') {
            None if value == "auto" => Ok(Self::Auto),
            None if value == "cpu" => Ok(Self::Cpu),
            None if value == "cuda" => Ok(Self::Cuda(0)),
            None if value == "candle-cpu" => Ok(Self::CandleCpu),
            Some(("cuda", ordinal)) if ordinal.bytes().all(|byte| byte.is_ascii_digit()) => ordinal
                .parse()
                .map(Self::Cuda)
                .map_err(|_| format!("no GPU has the number `{ordinal}`")),
            _ => Err("possible values: auto, cpu, cuda, cuda:N".to_owned()),
        }
    }
}

/// The device of `choice`. If there is a GPU that `auto` cannot use, a note says why.
///
/// # Errors
/// [`Kind::Device`](crate::error::Kind::Device) if a GPU was chosen by name and cannot be used.
pub fn open(choice: DeviceChoice) -> Result<Device> {
    match choice {
        DeviceChoice::Cpu => Ok(Device::Cpu),
        DeviceChoice::CandleCpu => Ok(Device::Candle(candle_core::Device::Cpu)),
        DeviceChoice::Auto => Ok(cuda(0).unwrap_or_else(|error| {
            if has_gpu() {
                notes::note(&format!("{error}: continuing on the CPU"));
            }
            Device::Cpu
        })),
        DeviceChoice::Cuda(ordinal) => cuda(ordinal),
    }
}

fn cuda(ordinal: usize) -> Result<Device> {
    let gpu = open_gpu(ordinal);
    gpu.map(Device::Candle)
        .map_err(|cause| cause.context(format!("could not use the device `cuda:{ordinal}`")))
}

/// The device as `--device` spells it.
#[must_use]
pub fn name(device: &Device) -> String {
    match device {
        Device::Cpu => "cpu".to_owned(),
        Device::Candle(device) => match device.location() {
            DeviceLocation::Cpu => "candle-cpu".to_owned(),
            DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
            DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
        },
    }
}

/// The name with the instruction set or the model of the GPU, which affect rounding.
#[must_use]
pub fn full_name(device: &Device) -> String {
    let name = name(device);
    let model = match device {
        Device::Cpu => Some(format!("{:?}", Level::current()).to_lowercase()),
        Device::Candle(device) => gpu_name(device),
    };
    match model {
        Some(model) => format!("{name} ({model})"),
        None => name,
    }
}

/// The default of `--batch-tokens`.
#[must_use]
pub fn batch_tokens(device: &Device) -> usize {
    match device {
        Device::Cpu => BATCH_TOKENS as usize,
        Device::Candle(_) => GPU_BATCH_TOKENS as usize,
    }
}

/// Waits until a GPU has finished its work.
///
/// # Errors
/// [`Kind::Device`](crate::error::Kind::Device) if that failed.
pub fn synchronize(device: &Device) -> Result<()> {
    match device {
        Device::Cpu => Ok(()),
        Device::Candle(device) => device.synchronize().map_err(failed),
    }
}

/// Makes the allocator keep memory for the next layer instead of returning it to the system.
///
/// A layer's intermediates are megabytes that live for one operation: if they are given back each
/// time, their pages are cleared and mapped again, which took 8 % of the samples of `perf record`
/// in a forward of 8 × 512 tokens.
pub fn reuse_memory() {
    // The most that glibc allows; larger blocks are still mapped one by one.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    const LARGEST_BYTES: i32 = 32 << 20;
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: both only set a parameter of the allocator.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGEST_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_parsed_or_refused() {
        assert_eq!("cuda:3".parse(), Ok(DeviceChoice::Cuda(3)));
        assert_eq!("candle-cpu".parse(), Ok(DeviceChoice::CandleCpu));
        for wrong in ["", "gpu", "cuda:", "cuda:-1", "cuda:99999999999999999999"] {
            assert!(
                wrong.parse::<DeviceChoice>().is_err(),
                "{wrong:?} was taken"
            );
        }
    }
}
