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
}

impl Precision {
    /// The type that weights are rounded to if theirs is wider.
    #[must_use]
    pub fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::BF16,
        }
    }
}
