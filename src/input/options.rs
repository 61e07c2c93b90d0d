//! How the input is read; the doc comments are the help.

#![allow(
    clippy::doc_markdown,
    reason = "the doc comments are the help, where backticks show"
)]

use std::path::Path;

use clap::Args;
use serde::Serialize;

use super::{ColumnNames, InputFormat, TextSelection};

/// How the input is read.
#[derive(Debug, Clone, Default, Args, Serialize)]
pub struct InputOptions {
    /// What a file holds [default: by the ending of PATH (.jsonl, .ndjson, .csv, .tsv, .parquet,
    /// the same with .gz or .zst), else lines]
    #[arg(long, value_name = "FORMAT")]
    pub input_format: Option<InputFormat>,

    /// Texts end with NUL instead of a line end
    #[arg(short = '0', long)]
    pub null: bool,

    /// The columns that hold the parts of a text.
    #[command(flatten)]
    #[serde(flatten)]
    pub columns: ColumnNames,

    /// The texts that are embedded.
    #[command(flatten)]
    #[serde(flatten)]
    pub selection: TextSelection,

    /// Second segment for the one TEXT given: `[CLS] text [SEP] pair [SEP]`
    #[arg(long, value_name = "TEXT")]
    pub pair: Option<String>,

    /// Split each text at the first STR into two segments
    #[arg(long, value_name = "STR", conflicts_with = "pair")]
    pub pair_separator: Option<String>,
}

impl InputOptions {
    /// What the file at `path` holds: as asked for, else by its ending, else lines.
    #[must_use]
    pub fn format_of(&self, path: &Path) -> InputFormat {
        let by_ending = || InputFormat::by_ending(path);
        self.input_format
            .or_else(by_ending)
            .unwrap_or(InputFormat::Lines)
    }
}
