//! Passing over the texts that an interrupted run has embedded, and making sure that they are those.

use crate::error::{Error, Kind, Result};
use crate::input::BadText;
use crate::pipeline::batch::Tokenized;
use crate::record::Tally;

/// The texts at the beginning of the input whose records are written.
pub(super) struct Skipping<'a> {
    done: &'a Tally,
    skipped: Tally,
}

impl<'a> Skipping<'a> {
    /// Passes over as many texts as `done` has records.
    #[must_use]
    pub(super) fn new(done: &'a Tally) -> Self {
        Self {
            done,
            skipped: Tally::default(),
        }
    }

    /// Whether the next text of the input is one of them.
    ///
    /// # Errors
    /// [`Kind::Usage`] with the last one, where they are not those of the interrupted run.
    pub(super) fn skips(
        &mut self,
        text: std::result::Result<&Tokenized, &BadText>,
    ) -> Result<bool> {
        let Self { done, skipped } = self;
        if skipped.records == done.records {
            return Ok(false);
        }
        skipped.count(text);
        if skipped.records < done.records || skipped == *done {
            return Ok(true);
        }
        Err(other_input(&format!(
            "its first {} texts are not those of the interrupted run",
            done.records
        )))
    }

    /// Makes sure that the input has had all of them.
    ///
    /// # Errors
    /// [`Kind::Usage`] where it has not.
    pub(super) fn finish(&self) -> Result<()> {
        let (skipped, done) = (self.skipped.records, self.done.records);
        if skipped == done {
            return Ok(());
        }
        Err(other_input(&format!(
            "it has {skipped} texts, but the interrupted run has embedded {done}"
        )))
    }
}

fn other_input(cause: &str) -> Error {
    Error::message(Kind::Usage, cause)
        .context("could not resume with this input")
        .with_tip("give the same texts again, or remove the .partial file to start anew")
}
