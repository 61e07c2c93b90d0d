//! How the input is read; the doc comments are the help.

#![allow(
    clippy::doc_markdown,
    reason = "the doc comments are the help, where backticks show"
)]

use std::path::Path;

use clap::Args;
use serde::Serialize;

use super::dialect::Dialect;
use super::{ColumnNames, InputFormat, TextSelection};

#[derive(Debug, Clone, Default, Args, Serialize)]
pub(crate) struct InputOptions {
    /// What a file holds.
    #[arg(long, value_name = "FORMAT", help = format_help())]
    pub input_format: Option<InputFormat>,

    /// Texts end with NUL instead of a line feed
    #[arg(short = '0', long)]
    pub null: bool,

    /// Which columns hold the parts of a text.
    #[command(flatten)]
    #[serde(flatten)]
    pub columns: ColumnNames,

    /// How the cells of a table are written.
    #[command(flatten)]
    #[serde(flatten)]
    pub dialect: Dialect,

    /// Which texts are embedded.
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
    /// What the file at `path` holds: the format that was typed, else by its ending, else lines.
    pub(crate) fn format_of(&self, path: &Path) -> InputFormat {
        let by_ending = || InputFormat::by_ending(path);
        self.input_format
            .or_else(by_ending)
            .unwrap_or(InputFormat::Lines)
    }
}

fn format_help() -> String {
    let endings = InputFormat::endings();
    format!(
        "What a file holds [default: by the ending of PATH ({endings}, the same with .gz or .zst), \
         else lines]"
    )
}
