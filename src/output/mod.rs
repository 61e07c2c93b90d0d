//! The output formats and where the output goes. Values are f32; JSON has the shortest text that
//! reads back to the same bits.

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
use crate::record::{Dimensions, Field, RecordOrBad};
use crate::threads::Threads;
use crate::tokenize::Tokenizer;
use compressed::Compressed;

/// What a format knows about the run.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    /// The fields of a record, in order.
    pub fields: &'a [Field],
    pub tokenizer: &'a Tokenizer,
    pub threads: &'a Threads,
    /// Hub id or directory, as the user named it.
    pub model: &'a str,
    /// Commit of the model on the hub, `None` for a directory.
    pub commit: Option<&'a str>,
    pub dimensions: Dimensions,
    /// The options that the values depend on, by name.
    pub options: &'a [(String, String)],
    /// The type of the values in a file that is not JSON.
    pub float: Float,
    pub compression: Option<Compression>,
}

/// Writes records in one format, in input order, several at a time.
///
/// What [`RecordWriter::write`] appends must depend on the record alone: a resumed run has not seen
/// the earlier records.
pub(crate) trait RecordWriter: Send {
    fn write(&mut self, records: &[RecordOrBad], to: &mut dyn Write) -> Result<()>;

    /// Appends what can only be written after all records.
    fn finish(&mut self, _to: &mut dyn Write) -> Result<()> {
        Ok(())
    }

    /// An interrupted run can continue after each multiple of this many records; `None` means after
    /// each record.
    fn member_records(&self) -> Option<u64> {
        None
    }

    /// Makes the file from everything appended, for formats that start with something known only at
    /// the end.
    fn assembly(&self) -> Option<&dyn Assembly> {
        None
    }
}

pub(crate) type Log = BufReader<File>;

/// Makes a file from the log of a run.
pub(crate) trait Assembly {
    fn assemble(&self, log: &mut Log, to: &mut dyn Write) -> Result<()>;
}

/// The writer of `format` for an output that already has `done` records.
///
/// # Errors
/// [`Kind::Internal`] if this build lacks the format; the command line has already refused it.
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
        (Some(compression), _) => Box::new(Compressed::new(writer, compression, done)),
    })
}

/// Ends the run at a bad record, for a format that cannot hold errors.
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

/// Why a bad record ends the run: `format` holds values only, and NaN never replaces a vector.
fn no_place(format: OutputFormat, bad: &BadText) -> Error {
    let (index, name) = (bad.place.index, format.name());
    Error::message(Kind::Input, &bad.message)
        .context(format!(
            "text {index} has no vector, and {name} has no place for an error"
        ))
        .with_tip("use --format jsonl, which records the error with each text")
}

/// A record without one of its fields is a bug in this program.
fn without_field(field: Field) -> Error {
    let name = field.name();
    Error::message(Kind::Internal, format!("a record without `{name}`"))
}
