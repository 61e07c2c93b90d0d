//! The formats of the output: JSON Lines, one JSON document, npy, safetensors, parquet, and text
//! for people. Numbers are f32; JSON has the shortest text that reads back to the same bits.

mod compressed;
mod destination;
mod document;
mod float;
mod format;
mod jsonl;
mod npy;
#[cfg(feature = "parquet")]
mod parquet;
mod preview;
mod safetensors;
mod size;

use std::fs::File;
use std::io::{BufReader, Write};

pub(crate) use compressed::Compression;
pub(crate) use destination::{
    CompletedRecords, Destination, OutputStatus, PartialPolicy, SYNC_INTERVAL, Settings,
    metadata_if_exists,
};
pub(crate) use float::Float;
pub(crate) use format::{Fields, FileEnding, NotResumable, OutputFormat};
pub(crate) use jsonl::JsonLines;
pub(crate) use size::{Measured, Size};

use crate::error::{Error, Kind, Result};
use crate::input::BadText;
use crate::record::{Dimensions, Field, Record};
use crate::tokenize::Tokenizer;
use compressed::Compressed;

/// A good record or a bad one.
pub(crate) type RecordOrBad<'a> = std::result::Result<Record<'a>, &'a BadText>;

/// What a format knows of the run.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The fields of a record, in order.
    pub fields: &'a [Field],
    /// Gives the tokens of the ids.
    pub tokenizer: &'a Tokenizer,
    /// Hub id or directory, as the user named it.
    pub model: &'a str,
    /// Commit of the model on the hub, `None` for a directory.
    pub commit: Option<&'a str>,
    /// The sizes of the fields' dimensions.
    pub dimensions: Dimensions,
    /// The options that the numbers depend on, by name.
    pub options: &'a [(String, String)],
    /// The type of the numbers in a file that is not JSON.
    pub float: Float,
    /// How the file is compressed.
    pub compression: Option<Compression>,
}

/// Writes records in one format. They come in input order, some at a time.
///
/// What [`RecordWriter::write`] appends must depend on the record alone: an interrupted run is
/// continued by another one that has not seen the records before.
pub(crate) trait RecordWriter: Send {
    /// Appends the next records to `to`.
    ///
    /// # Errors
    /// [`Kind::Output`] if the destination cannot be written.
    fn write(&mut self, records: &[RecordOrBad], to: &mut dyn Write) -> Result<()>;

    /// Appends what can only be written after all records.
    ///
    /// # Errors
    /// As [`RecordWriter::write`].
    fn finish(&mut self, _to: &mut dyn Write) -> Result<()> {
        Ok(())
    }

    /// How many records lie between two places at which an interrupted run can continue; `None` if
    /// it can be continued after each.
    fn member_records(&self) -> Option<u64> {
        None
    }

    /// Makes the file from all that was appended, if that is not the file itself because its
    /// beginning is known only at the end.
    fn assembly(&self) -> Option<&dyn Assembly> {
        None
    }
}

/// All that the records of a run have appended, from its beginning.
pub(crate) type Log = BufReader<File>;

/// Makes a file from the log of a run.
pub(crate) trait Assembly {
    /// Writes the file of the records in `log` to `to`.
    ///
    /// # Errors
    /// [`Kind::Output`] if `log` cannot be read or `to` cannot be written.
    fn assemble(&self, log: &mut Log, to: &mut dyn Write) -> Result<()>;
}

/// The writer of `format` for an output that already has `done` records.
///
/// # Errors
/// [`Kind::Internal`] if this build does not have the format, which the command line has refused.
#[cfg_attr(
    feature = "parquet",
    allow(
        clippy::unnecessary_wraps,
        reason = "only a build without parquet can fail"
    )
)]
pub(crate) fn open<'a>(
    format: OutputFormat,
    context: Context<'a>,
    done: u64,
) -> Result<Box<dyn RecordWriter + 'a>> {
    let writer: Box<dyn RecordWriter> = match format {
        OutputFormat::Jsonl => Box::new(JsonLines(context)),
        OutputFormat::Json => Box::new(document::Document::new(context)),
        OutputFormat::Npy => Box::new(npy::Npy(context)),
        OutputFormat::Safetensors => Box::new(safetensors::Safetensors(context)),
        OutputFormat::Preview => Box::new(preview::Preview(context)),
        #[cfg(feature = "parquet")]
        OutputFormat::Parquet => Box::new(parquet::Parquet(context)),
        #[cfg(not(feature = "parquet"))]
        OutputFormat::Parquet => {
            return Err(Error::message(Kind::Internal, "this build has no parquet"));
        }
    };
    Ok(match (context.compression, format.spec().takes_errors) {
        (None, true) => writer,
        (None, false) => Box::new(GoodRecords { format, writer }),
        (Some(how), _) => Box::new(Compressed::new(writer, how, done)),
    })
}

/// Ends the run at a bad record, for a format that has no place for one.
struct GoodRecords<'a> {
    format: OutputFormat,
    writer: Box<dyn RecordWriter + 'a>,
}

impl RecordWriter for GoodRecords<'_> {
    /// The records before a bad one are written.
    fn write(&mut self, records: &[RecordOrBad], to: &mut dyn Write) -> Result<()> {
        let bad = records.iter().position(std::result::Result::is_err);
        self.writer
            .write(&records[..bad.unwrap_or(records.len())], to)?;
        match bad.map(|place| &records[place]) {
            Some(Err(bad)) => Err(no_place(self.format, bad)),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    fn finish(&mut self, to: &mut dyn Write) -> Result<()> {
        self.writer.finish(to)
    }

    fn assembly(&self) -> Option<&dyn Assembly> {
        self.writer.assembly()
    }
}

/// Why a bad record ends the run: `format` has numbers only, and NaN is never one.
fn no_place(format: OutputFormat, bad: &BadText) -> Error {
    let (index, name) = (bad.place.index, format.name());
    Error::message(Kind::Input, &bad.message)
        .context(format!(
            "text {index} has no vector, and {name} has no place for an error"
        ))
        .with_tip("use --format jsonl, where the text's record tells the error")
}

/// What a record without one of its fields is: a defect of this program.
fn without_field(field: Field) -> Error {
    let name = field.name();
    Error::message(Kind::Internal, format!("a record without `{name}`"))
}
