//! `--dtype`; the doc comments are the help.

#![allow(
    clippy::doc_markdown,
    reason = "the doc comments are the help, where backticks show"
)]

use clap::ValueEnum;
use serde::Serialize;

use crate::weights::Dtype;

/// The number type of the weights and of the arithmetic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// As the checkpoint has them, half-precision ones widened exactly
    #[default]
    F32,
    /// Rounded to IEEE half precision
    F16,
    /// Rounded to the upper half of an f32
    Bf16,
    /// Linear layers in integers of 14 bits: a token's cosine with f32 is above 0.99999. Takes any
    /// stored type, bf16 and f16 without a loss worth naming
    Int16,
    /// Linear layers in integers of 8 bits, the value of attention in int16: a token's cosine with
    /// f32 is above 0.998. For processors with VNNI: without it int8 is slower than int16
    Int8,
}

impl Precision {
    /// Whether linear layers are computed in integers.
    #[must_use]
    pub fn is_integer(self) -> bool {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => false,
            Self::Int16 | Self::Int8 => true,
        }
    }

    /// The type to which wider parameters are rounded; integers are made from unrounded weights.
    #[must_use]
    pub fn dtype(self) -> Dtype {
        match self {
            Self::F32 | Self::Int16 | Self::Int8 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::BF16,
        }
    }
}
