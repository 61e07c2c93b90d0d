//! `--dtype`; the doc comments are the help.

#![allow(
    clippy::doc_markdown,
    reason = "the doc comments are the help, where backticks show"
)]

use clap::ValueEnum;

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
