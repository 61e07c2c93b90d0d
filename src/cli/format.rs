//! The form of the output, and what each form can hold.
//!
//! Owns [`Format`] and the checks of `--format` against the other options; they need no model.

use std::path::Path;

use clap::ValueEnum;

use super::check::usage;
use super::{Arguments, Field};
use crate::error::Result;

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
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

impl Format {
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

    fn by_ending(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?;
        let known = [Self::Json, Self::Npy, Self::Safetensors, Self::Parquet];
        known.into_iter().find(|format| format.name() == ending)
    }
}

impl Arguments {
    /// The form of the output: as asked for, or by the ending of the file.
    #[must_use]
    pub fn output_format(&self) -> Format {
        if self.preview {
            return Format::Preview;
        }
        // In a dry run `--format json` is the form of the report.
        let typed = self
            .format
            .filter(|&format| !(self.dry_run && format == Format::Json));
        let by_ending = || self.output.as_deref().and_then(Format::by_ending);
        typed.or_else(by_ending).unwrap_or(Format::Jsonl)
    }

    /// What a record holds when --fields is not given.
    pub(super) fn default_fields(&self) -> Vec<Field> {
        let mut fields = Field::DEFAULT.to_vec();
        match self.output_format() {
            Format::Npy => fields.clear(),
            Format::Safetensors => fields.retain(|field| field.is_numeric()),
            Format::Jsonl | Format::Json | Format::Parquet | Format::Preview => {}
        }
        fields
    }

    /// # Errors
    /// [`Kind::Usage`](crate::error::Kind::Usage) where the form cannot hold what is asked for, or has nowhere to go.
    pub(super) fn check_format(&self) -> Result<()> {
        let format = self.output_format();
        match format {
            Format::Npy => check_npy(&self.record_fields())?,
            Format::Safetensors => check_safetensors(&self.record_fields())?,
            Format::Parquet if !cfg!(feature = "parquet") => {
                return usage(
                    "this build has no --format parquet",
                    "cargo build --release --features parquet, or use --format safetensors",
                );
            }
            _ => {}
        }
        if format.needs_file() && self.output.is_none() && !self.dry_run {
            let name = format.name();
            return usage(
                &format!("--format {name} needs a file: it cannot be written to standard output"),
                &format!("-o vectors.{name}"),
            );
        }
        Ok(())
    }
}

fn check_npy(fields: &[Field]) -> Result<()> {
    let tip = "--fields pooler_output, or --fields embedding --pooling mean";
    match fields {
        [field] if field.has_fixed_width() => Ok(()),
        [] => usage(
            "npy holds one field, pooler_output or embedding: neither was asked for",
            tip,
        ),
        _ => {
            let names: Vec<_> = fields.iter().map(|field| field.name()).collect();
            let names = names.join(", ");
            usage(
                &format!("npy holds one field, pooler_output or embedding: got {names}"),
                tip,
            )
        }
    }
}

fn check_safetensors(fields: &[Field]) -> Result<()> {
    let Some(field) = fields.iter().find(|field| !field.is_numeric()) else {
        return Ok(());
    };
    let allowed = Field::value_variants()
        .iter()
        .filter(|field| field.is_numeric());
    let allowed: Vec<_> = allowed.map(|field| field.name()).collect();
    usage(
        &format!(
            "safetensors holds numbers only: `{}` is not among {}",
            field.name(),
            allowed.join(", ")
        ),
        "leave it out, or use --format jsonl",
    )
}
