//! The form of the output, and what each form can hold.
//!
//! Owns [`OutputFormat`] and the checks of `--format` against the other options; they need no model.

use clap::ValueEnum;

use super::check::usage;
use super::{Arguments, Field, OutputFormat};
use crate::error::Result;

impl Arguments {
    /// The form of the output: as asked for, or by the ending of the file.
    #[must_use]
    pub fn output_format(&self) -> OutputFormat {
        if self.preview {
            return OutputFormat::Preview;
        }
        // In a dry run `--format json` is the form of the report.
        let typed = self
            .format
            .filter(|&format| !(self.dry_run && format == OutputFormat::Json));
        let by_ending = || self.output.as_deref().and_then(OutputFormat::by_ending);
        typed.or_else(by_ending).unwrap_or(OutputFormat::Jsonl)
    }

    /// What a record holds when --fields is not given.
    pub(super) fn default_fields(&self) -> Vec<Field> {
        let mut fields = Field::DEFAULT.to_vec();
        match self.output_format() {
            OutputFormat::Npy => fields.clear(),
            OutputFormat::Safetensors => fields.retain(|field| field.is_numeric()),
            OutputFormat::Jsonl
            | OutputFormat::Json
            | OutputFormat::Parquet
            | OutputFormat::Preview => {}
        }
        fields
    }

    /// # Errors
    /// [`Kind::Usage`](crate::error::Kind::Usage) where the form cannot hold what is asked for, or has nowhere to go.
    pub(super) fn check_format(&self) -> Result<()> {
        let format = self.output_format();
        match format {
            OutputFormat::Npy => check_npy(&self.record_fields())?,
            OutputFormat::Safetensors => check_safetensors(&self.record_fields())?,
            OutputFormat::Parquet if !cfg!(feature = "parquet") => {
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
