//! `--dtype`; the doc comments are the help.

#![allow(
    clippy::doc_markdown,
    reason = "the doc comments are the help, where backticks show"
)]

use clap::ValueEnum;

use crate::checkpoint::Dtype;

/// The type of the numbers that the model is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    /// As the checkpoint has them, half-precision ones widened exactly
    F32,
    /// Rounded to IEEE half precision
    F16,
    /// Rounded to the upper half of an f32
    Bf16,
    /// Linear layers in 14-bit integers; on a CPU only
    Int16,
    /// Linear layers in 8-bit integers, query, key and value in int16; on a CPU only
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

    /// The type that numbers are rounded to if theirs is wider; integers are made of the weights as
    /// they are.
    #[must_use]
    pub fn dtype(self) -> Dtype {
        match self {
            Self::F32 | Self::Int16 | Self::Int8 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::BF16,
        }
    }
}
