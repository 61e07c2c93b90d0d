//! The values that options take; their doc comments are the help.

#![allow(
    clippy::doc_markdown,
    reason = "the doc comments are the help, where backticks show"
)]

use std::ffi::OsStr;
use std::path::Path;

use clap::ValueEnum;

/// What a line of the input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum InputFormat {
    /// A text
    Lines,
    /// A JSON object: text, or words (a list), and optionally id and text_pair
    Jsonl,
}

impl InputFormat {
    /// What the lines of a file with the ending of `path` are.
    pub(super) fn by_ending(path: &Path) -> Self {
        match path.extension().and_then(OsStr::to_str) {
            Some("jsonl" | "ndjson") => Self::Jsonl,
            _ => Self::Lines,
        }
    }
}

/// The tokens of `--max-length`; the model's own limit is checked when it is known.
pub(super) fn max_length(typed: &str) -> Result<u32, String> {
    match typed.parse() {
        Ok(tokens @ 3..) => Ok(tokens),
        _ => Err("allowed are 3 (`[CLS]`, one token of the text, `[SEP]`) to the model's max_position_embeddings".to_owned()),
    }
}

/// The type of the numbers that the model is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Dtype {
    /// As the checkpoint has them, half-precision ones widened exactly
    F32,
    /// Rounded to IEEE half precision
    F16,
    /// Rounded to the upper half of an f32
    Bf16,
}

/// What happens to a text of more tokens than a record may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnLong {
    /// It is cut; the record says how many tokens were dropped
    Truncate,
    /// Its record is an error
    Error,
    /// It is run as windows of --max-length tokens that overlap by --stride: each of its tokens is
    /// taken from the window where it has most context, `pooler_output` from the first one. A pair
    /// that does not fit is an error; not with --padding or --format json, for such a record is
    /// longer than --max-length
    Window,
}

/// How far records are filled up with `[PAD]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Padding {
    /// Not at all
    None,
    /// To the longest record of the whole input
    Longest,
    /// To --max-length
    MaxLength,
}

/// How the layers of `hidden_states` become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LayerMerge {
    /// They stay apart: `[layers][tokens][hidden]`
    None,
    /// Their mean: `[tokens][hidden]`
    Mean,
    /// Their sum: `[tokens][hidden]`
    Sum,
    /// One behind the other: `[tokens][layers × hidden]`
    Concat,
}

/// How one vector is made of a text's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Pooling {
    /// The vector of `[CLS]`
    Cls,
    /// The mean over the real tokens
    Mean,
    /// The largest value over the real tokens
    Max,
    /// pooler_output
    Pooler,
}

/// How one vector is made of a word's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WordPooling {
    /// The vector of its first token
    First,
    /// The vector of its last token
    Last,
    /// The mean over its tokens
    Mean,
    /// The largest value over its tokens
    Max,
    /// The sum over its tokens
    Sum,
}

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

    fn from_str(value: &str) -> Result<Self, String> {
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
