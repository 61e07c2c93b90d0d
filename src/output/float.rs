//! The type of the values in files other than JSON; the doc comments are the help.

use std::io::{self, Write};

use clap::ValueEnum;
use half::f16;
use serde::Serialize;

/// The type of the values in a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Float {
    /// 4 bytes, as computed
    #[default]
    F32,
    /// 2 bytes, rounded to 11 significant bits
    F16,
}

impl Float {
    pub(crate) fn size_bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }

    /// Writes `values`, little-endian; fails if one is too large.
    pub(super) fn write(self, values: &[f32], to: &mut dyn Write) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(values.len() * self.size_bytes() as usize);
        for &value in values {
            match self {
                Self::F32 => bytes.extend_from_slice(&value.to_le_bytes()),
                Self::F16 => bytes.extend_from_slice(&rounded(value)?.to_le_bytes()),
            }
        }
        to.write_all(&bytes)
    }
}

/// The nearest f16, ties to even.
fn rounded(value: f32) -> io::Result<f16> {
    let rounded = f16::from_f32(value);
    if rounded.is_finite() {
        return Ok(rounded);
    }
    let largest = f16::MAX;
    Err(io::Error::other(format!(
        "{value} is too large for --float f16: at most {largest} is allowed"
    )))
}
