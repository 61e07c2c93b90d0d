//! The forms of output by name; the doc comments are the help.

#![allow(
    clippy::doc_markdown,
    reason = "the doc comments are the help, where backticks show"
)]

use std::path::Path;

use clap::ValueEnum;

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// One JSON object a text, one a line
    Jsonl,
    /// One JSON document with the batch tensors of transformers
    Json,
    /// `[texts, hidden]` float32 for numpy.load: `pooler_output` or `embedding`, no other field.
    /// Needs -o FILE, and for a moment up to twice its size on the disk; a text that cannot be read
    /// ends the run (exit 3), for a row cannot be an error
    Npy,
    /// The numeric fields as tensors: those of tokens laid end to end, text i from row `offsets[i]` to
    /// `offsets[i + 1]`; in word_ids -1 is no word. Needs -o FILE, and for a moment up to twice its
    /// size on the disk; a text that cannot be read ends the run (exit 3)
    Safetensors,
    /// A row a text with list columns, for DuckDB, Polars, pandas and Spark; id is a string, and the
    /// column error is null where all is well. Needs -o FILE, and for a moment up to twice its size on
    /// the disk
    Parquet,
    /// For the eye, see --preview
    #[value(skip)]
    Preview,
}

impl OutputFormat {
    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Json => "json",
            Self::Npy => "npy",
            Self::Safetensors => "safetensors",
            Self::Parquet => "parquet",
            Self::Preview => "preview",
        }
    }

    /// Whether it cannot be written to a pipe.
    #[must_use]
    pub fn needs_file(self) -> bool {
        matches!(self, Self::Npy | Self::Safetensors | Self::Parquet)
    }

    /// The form that `path` ends in.
    #[must_use]
    pub fn by_ending(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?;
        let known = [Self::Json, Self::Npy, Self::Safetensors, Self::Parquet];
        known.into_iter().find(|format| format.name() == ending)
    }
}
