//! The writer's thread: encoded batches → records in the destination, counted as they are written.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};

use crate::error::{Error, Kind, Result};
use crate::output::{Destination, RecordWriter, SYNC_INTERVAL};
use crate::pipeline::progress::RunProgress;
use crate::pipeline::stitch::Stitcher;
use crate::pipeline::types::{EncodedBatch, FinishedBatch, batch_tokens};
use crate::record::{RecordOrBad, RunCounts, TokenizedText};
use crate::vectors::VectorOptions;
use crate::weights::WeightGuard;

/// Makes records and gives them to the output format.
pub(crate) struct Writer<'a> {
    output: Box<dyn RecordWriter + 'a>,
    destination: Destination,
    stitcher: Stitcher<'a>,
    /// Records count only as long as the weights have not changed.
    weights: &'a WeightGuard,
    counts: RunCounts,
}

/// Writes each batch as soon as it arrives, so that no finished record is held back.
pub(crate) fn write_all<'a>(
    mut writer: Writer<'a>,
    mut progress: RunProgress,
    from: &Receiver<EncodedBatch>,
) -> Result<(Writer<'a>, RunProgress)> {
    loop {
        match from.recv_timeout(SYNC_INTERVAL) {
            Ok(batch) => {
                let tokens = batch_tokens(&batch.windows);
                writer.write(batch)?;
                progress.show(writer.counts.records, tokens);
            }
            Err(RecvTimeoutError::Timeout) => writer.keep(true)?,
            Err(RecvTimeoutError::Disconnected) => return Ok((writer, progress)),
        }
    }
}

impl<'a> Writer<'a> {
    /// Writes records in the format `output` to `destination`, which already holds the records of
    /// `counts`.
    pub(crate) fn new(
        output: Box<dyn RecordWriter + 'a>,
        destination: Destination,
        options: &'a VectorOptions,
        weights: &'a WeightGuard,
        counts: RunCounts,
    ) -> Self {
        Self {
            output,
            destination,
            stitcher: Stitcher::new(options),
            weights,
            counts,
        }
    }

    /// Writes the records of the texts that `batch` completes.
    ///
    /// # Errors
    /// [`Kind::Output`] if the destination cannot be written, [`Kind::Model`] if the weights
    /// changed.
    fn write(&mut self, batch: EncodedBatch) -> Result<()> {
        // The permits are dropped when the records are written.
        let FinishedBatch {
            records,
            without_vectors,
            permits: _permits,
        } = self.stitcher.add(batch);
        let mut rest = &records[..];
        while !rest.is_empty() {
            let (part, after) = rest.split_at(self.records_to_boundary(rest.len()));
            self.write_part(part, &without_vectors)?;
            rest = after;
        }
        Ok(())
    }

    /// How many of the next `records` fit before the next point at which the output can be resumed.
    fn records_to_boundary(&self, records: usize) -> usize {
        self.output.member_records().map_or(records, |every| {
            let room = every - self.counts.records % every;
            records.min(room as usize)
        })
    }

    fn write_part(
        &mut self,
        records: &[RecordOrBad],
        without_vectors: &[Arc<TokenizedText>],
    ) -> Result<()> {
        for record in records {
            let mut texts = without_vectors.iter();
            match record {
                Ok(record) => self.counts.count(Ok(&record.text)),
                Err(bad) => match texts.find(|it| it.text.place.index == bad.place.index) {
                    Some(text) => self.counts.count_without_vectors(text, bad),
                    None => self.counts.count(Err(bad)),
                },
            }
        }
        self.output
            .write(records, &mut self.destination)
            .map_err(|error| named(error, &self.destination))?;
        self.weights.check()?;
        self.keep(false)
    }

    /// Makes the records written so far survive an interruption, if the output can be resumed here:
    /// within [`SYNC_INTERVAL`], or immediately if `now` is set. A stream already has them.
    ///
    /// # Errors
    /// [`Kind::Output`] if the destination cannot be written.
    pub(crate) fn keep(&mut self, now: bool) -> Result<()> {
        let every = self.output.member_records();
        if every.is_some_and(|every| !self.counts.records.is_multiple_of(every)) {
            return Ok(());
        }
        self.destination.sync(&self.counts, now)
    }

    pub(crate) fn counts(&self) -> &RunCounts {
        &self.counts
    }

    /// Completes the output.
    ///
    /// # Errors
    /// [`Kind::Output`] if the destination cannot be written.
    pub(crate) fn finish(mut self) -> Result<RunCounts> {
        self.weights.check()?;
        self.keep(true)?;
        self.output
            .finish(&mut self.destination)
            .map_err(|error| named(error, &self.destination))?;
        self.destination
            .finish(&self.counts, self.output.assembly())?;
        Ok(self.counts)
    }
}

/// Adds the name of the destination to a failed write, because an output format does not know it.
fn named(error: Error, destination: &Destination) -> Error {
    match error.kind() {
        Kind::Output => error.context(format!("could not write {}", destination.name())),
        _ => error,
    }
}
