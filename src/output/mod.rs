//! The records' form: JSON Lines, one JSON document, npy, safetensors, parquet, and text for the eye.
//!
//! Owns the JSON contract. Sees slices and shapes, never tensors. Numbers are f32, printed as the
//! shortest text that reads back to the same bits. Leaves what is computed to `run.rs`.

mod bytes;
mod document;
mod file;
mod format;
mod jsonl;
mod npy;
#[cfg(feature = "parquet")]
mod parquet;
mod partial;
mod preview;
mod safetensors;
mod state;

use std::fs::File;
use std::io::{BufReader, Write};

pub use document::Document;
pub use file::{Destination, Unfinished};
pub use jsonl::JsonLines;
pub use npy::Npy;
#[cfg(feature = "parquet")]
pub use parquet::Parquet;
pub use partial::KEEP_EVERY;
pub use preview::Preview;
pub use safetensors::{Safetensors, size_bytes as safetensors_size_bytes};
pub use state::Settings;

use crate::error::{Error, Kind, Result};
use crate::record::{BadRecord, Field, Record, Shapes};
use crate::tokenize::Tokenizer;
use OutputFormat as Form;
pub use format::OutputFormat;

/// What a form of output knows of the run.
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
    /// What the shapes of the fields depend on.
    pub shapes: Shapes,
    /// Options that the numbers depend on, by name.
    pub options: &'a [(&'static str, String)],
}

/// One form of output. Records come in input order, a few at a time.
///
/// What [`Format::write`] appends must depend on the record alone: an interrupted run is continued
/// by another one that has not seen the records before.
pub trait Format: Send {
    /// Appends the next records to `to`.
    ///
    /// # Errors
    /// [`crate::error::Kind::Output`] where the destination cannot be written.
    fn write(
        &mut self,
        records: &[std::result::Result<Record, BadRecord>],
        to: &mut dyn Write,
    ) -> Result<()>;

    /// Appends what could not be written before all records were there.
    ///
    /// # Errors
    /// As [`Format::write`].
    fn finish(&mut self, _to: &mut dyn Write) -> Result<()> {
        Ok(())
    }

    /// What makes the file out of all that was appended, where that is not the file itself: because
    /// the file begins with what is known at the end.
    fn assembly(&self) -> Option<&dyn Assembly> {
        None
    }
}

/// What was appended by the records of a run, from its beginning.
pub type Log = BufReader<File>;

/// The way from the log of a run to its file.
pub trait Assembly {
    /// Writes the file of the records in `log` to `to`.
    ///
    /// # Errors
    /// [`crate::error::Kind::Output`] where one cannot be read or the other not be written.
    fn assemble(&self, log: &mut Log, to: &mut dyn Write) -> Result<()>;
}

/// The form of output that `form` names.
///
/// # Errors
/// [`Kind::Internal`] where this build has no such form, which the command line has refused.
pub fn open(form: Form, context: Context<'_>) -> Result<Box<dyn Format + '_>> {
    Ok(match form {
        Form::Jsonl => Box::new(JsonLines::new(context)),
        Form::Json => Box::new(Document::new(context)),
        Form::Npy => Box::new(Npy::new(context)),
        Form::Safetensors => Box::new(Safetensors::new(context)),
        Form::Preview => Box::new(Preview::new(context)),
        #[cfg(feature = "parquet")]
        Form::Parquet => Box::new(Parquet::new(context)),
        #[cfg(not(feature = "parquet"))]
        Form::Parquet => {
            return Err(Error::message(Kind::Internal, "this build has no parquet"));
        }
    })
}

/// Why a text without numbers ends the run: `form` has numbers only, and NaN is never one.
fn no_place(form: Form, bad: &BadRecord) -> Error {
    Error::message(Kind::Input, &bad.bad.message)
        .context(format!(
            "text {} has no vector, and {} has no place for an error",
            bad.index,
            form.name()
        ))
        .with_tip("use --format jsonl, where the text's record tells the error")
}
