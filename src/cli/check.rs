//! What clap cannot check: options that contradict each other, or that would have no effect.
//!
//! Checks that need the model are in `app/request.rs`.

use super::Arguments;
use crate::error::{Result, usage};
use crate::output::{Compression, Fields, FileEnding, Float, NotResumable, OutputFormat};
use crate::record::Field;
use crate::tokenize::OnLong;

impl Arguments {
    /// Checks what clap cannot: options that contradict each other, or that would have no effect.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::error::Kind::Usage), naming both options.
    pub(crate) fn check(&self) -> Result<()> {
        self.check_info()?;
        self.input.check()?;
        self.options.check()?;
        self.check_format()?;
        self.check_resume()?;
        self.check_windows()
    }

    /// The fields of a record, in order.
    pub(crate) fn record_fields(&self) -> Vec<Field> {
        let keeps_columns = !self.input.options.columns.keep.is_empty();
        self.options
            .record_fields(self.output_format(), keeps_columns)
    }

    fn check_info(&self) -> Result<()> {
        match self.format {
            Some(format) if self.info && format != OutputFormat::Json => usage(
                "--info prints lines of text, or one JSON object with --format json",
                "leave --format out",
            ),
            _ => Ok(()),
        }
    }

    fn check_resume(&self) -> Result<()> {
        match self.output_format().spec().not_resumable {
            Some(NotResumable { option, why, tip }) if self.resume => usage(
                &format!("--resume and {option} do not go together: {why}"),
                tip,
            ),
            Some(_) | None => Ok(()),
        }
    }

    fn check_windows(&self) -> Result<()> {
        let format = self.output_format();
        if self.options.on_long != OnLong::Window || format.spec().takes_ragged {
            return Ok(());
        }
        let name = format.name();
        usage(
            &format!(
                "--format {name} and --on-long window do not go together: \
                 a batch tensor needs records of one length"
            ),
            "use --format jsonl",
        )
    }

    /// The format of the output: from `--format`, or by the ending of the file.
    pub(crate) fn output_format(&self) -> OutputFormat {
        if self.preview {
            return OutputFormat::Preview;
        }
        let typed = self
            .format
            .filter(|format| !(self.dry_run && format.spec().is_report));
        let by_ending = || self.ending().and_then(|ending| ending.format);
        typed.or_else(by_ending).unwrap_or(OutputFormat::Jsonl)
    }

    /// The compression of the output, by the ending of the file.
    pub(crate) fn compression(&self) -> Option<Compression> {
        self.ending()?.compression
    }

    fn ending(&self) -> Option<FileEnding> {
        self.output.as_deref().map(FileEnding::of)
    }

    /// # Errors
    /// [`Kind::Usage`](crate::error::Kind::Usage) if the format cannot hold the fields, or needs a
    /// file.
    fn check_format(&self) -> Result<()> {
        self.check_ending()?;
        let format = self.output_format();
        let (spec, name) = (format.spec(), format.name());
        if !spec.is_built {
            return usage(
                &format!("this build has no --format {name}"),
                &format!("cargo build --release --features {name}, or use --format safetensors"),
            );
        }
        let mut fields = self.record_fields();
        match spec.fields {
            Fields::Any => {}
            Fields::NumericAndId => check_numeric(format, &fields)?,
            Fields::OneVector => {
                fields.retain(|&field| field != Field::Id || !self.options.fields.is_empty());
                check_one_vector(format, &fields)?;
            }
        }
        if self.float != Float::F32 && !spec.takes_float {
            return usage(
                &format!("--float f16 and --format {name} do not go together: JSON has no f16"),
                &format!(
                    "use --format {}",
                    OutputFormat::names(|spec| spec.takes_float)
                ),
            );
        }
        if spec.needs_file && self.output.is_none() && !self.dry_run {
            return usage(
                &format!("--format {name} needs a file: standard output is a stream"),
                &format!("-o vectors.{name}"),
            );
        }
        Ok(())
    }

    /// # Errors
    /// [`Kind::Usage`](crate::error::Kind::Usage) if the ending of the file is unknown, or is a
    /// compression that the format does not support.
    fn check_ending(&self) -> Result<()> {
        let (Some(ending), Some(path)) = (self.ending(), &self.output) else {
            return Ok(());
        };
        let path = path.display();
        match (self.format, ending.compression) {
            (None, _) if ending.is_unknown => usage(
                &format!(
                    "could not tell the format of `{path}` by its ending: allowed are {}",
                    OutputFormat::endings().join(", ")
                ),
                "--format jsonl writes to a file of any name",
            ),
            (Some(format), Some(compression)) if !format.spec().takes_compression => usage(
                &format!(
                    "--format {} and `{path}` do not go together: only {} is written as .{}",
                    format.name(),
                    OutputFormat::names(|spec| spec.takes_compression),
                    compression.ending()
                ),
                "compress the file afterwards",
            ),
            _ => Ok(()),
        }
    }
}

fn check_one_vector(format: OutputFormat, fields: &[Field]) -> Result<()> {
    let got = match fields {
        [field] if format.holds(*field) => return Ok(()),
        [] => "neither is selected".to_owned(),
        _ => format!("got {}", names(fields.iter().copied(), ", ")),
    };
    let (name, allowed) = (format.name(), held(format, " or "));
    usage(
        &format!("{name} holds one field, {allowed}: {got}"),
        "--fields pooler_output, or --fields embedding --pooling mean",
    )
}

fn check_numeric(format: OutputFormat, fields: &[Field]) -> Result<()> {
    let Some(field) = fields.iter().find(|&&field| !format.holds(field)) else {
        return Ok(());
    };
    let (name, field, allowed) = (format.name(), field.name(), held(format, ", "));
    usage(
        &format!("{name} holds numeric fields only: `{field}` is not one of {allowed}"),
        "leave it out, or use --format jsonl",
    )
}

/// The fields that `--fields` takes and the format can hold.
fn held(format: OutputFormat, separator: &str) -> String {
    let fields = Field::ALL.iter().copied();
    names(
        fields.filter(|&field| field.spec().is_typed && format.holds(field)),
        separator,
    )
}

fn names(fields: impl Iterator<Item = Field>, separator: &str) -> String {
    fields.map(Field::name).collect::<Vec<_>>().join(separator)
}
