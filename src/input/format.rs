//! What a line of the input is; the doc comments are the help.

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
    #[must_use]
    pub fn by_ending(path: &Path) -> Self {
        match path.extension().and_then(OsStr::to_str) {
            Some("jsonl" | "ndjson") => Self::Jsonl,
            _ => Self::Lines,
        }
    }
}
