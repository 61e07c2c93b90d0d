//! The records' form: JSON Lines, one JSON document.
//!
//! Owns the JSON contract. Sees slices and shapes, never tensors. Numbers are f32, printed as the
//! shortest text that reads back to the same bits. Leaves what is computed to `run.rs`.

mod document;
mod file;
mod jsonl;
mod partial;
mod record;
mod state;
mod word;

use std::io::Write;

pub use document::Document;
pub use file::{Destination, Unfinished};
pub use jsonl::JsonLines;
pub use partial::KEEP_EVERY;
pub use record::{BadRecord, HiddenStates, Record};
pub use state::Settings;
pub use word::Word;

use crate::cli::Field;
use crate::error::Result;
use crate::tokenize::Tokenizer;

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
}

/// One form of output. Records come in input order, a few at a time.
pub trait Format: Send {
    /// Takes the next records.
    ///
    /// # Errors
    /// [`crate::error::Kind::Output`] where the destination cannot be written.
    fn write(
        &mut self,
        records: &[std::result::Result<Record, BadRecord>],
        to: &mut dyn Write,
    ) -> Result<()>;

    /// Writes what could not be written before all records were there.
    ///
    /// # Errors
    /// As [`Format::write`].
    fn finish(&mut self, to: &mut dyn Write) -> Result<()>;
}
