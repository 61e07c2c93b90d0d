//! Skips the texts that an interrupted run has embedded, and checks that they are the same texts.

use crate::error::{Error, Kind, Result};
use crate::input::BadText;
use crate::record::{RunCounts, TokenizedText};

/// Compares the beginning of the input with the texts whose records are written.
pub(crate) struct ResumeCheck<'a> {
    done: &'a RunCounts,
    skipped: RunCounts,
}

impl<'a> ResumeCheck<'a> {
    /// Skips as many texts as `done` has records.
    pub(crate) fn new(done: &'a RunCounts) -> Self {
        Self {
            done,
            skipped: RunCounts::default(),
        }
    }

    /// Whether the next text of the input already has its record.
    ///
    /// # Errors
    /// [`Kind::Usage`] at the last of them, if they are not the texts of the interrupted run.
    pub(crate) fn skips(
        &mut self,
        text: std::result::Result<&TokenizedText, &BadText>,
    ) -> Result<bool> {
        let Self { done, skipped } = self;
        if skipped.records == done.records {
            return Ok(false);
        }
        skipped.count(text);
        // The hash has every text; errors of vectors are counted only when they are computed.
        if skipped.records < done.records || skipped.texts == done.texts {
            return Ok(true);
        }
        Err(other_input(&format!(
            "its first {} texts are not the texts of the interrupted run",
            done.records
        )))
    }

    /// Checks that the input had all texts that are done.
    ///
    /// # Errors
    /// [`Kind::Usage`] if it had fewer.
    pub(crate) fn finish(&self) -> Result<()> {
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
        .with_tip("give the same texts again, or remove the .partial file to start over")
}
