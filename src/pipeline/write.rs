//! Encoded texts → records in the destination, counted as they are written.

use std::sync::Arc;

use crate::app::request::Request;
use crate::error::{Error, Kind, Result};
use crate::input::BadText;
use crate::output::{Destination, Format};
use crate::pipeline::Encoded;
use crate::pipeline::batch::Tokenized;
use crate::record::Tally;
use crate::record::{BadRecord, HiddenStates, Record};
use crate::vectors::TextVectors;
use crate::vectors::{LayerMerge, Pooling};
use crate::vectors::{pooling, words};

/// Makes records and hands them to their form of output.
pub struct Writer<'a> {
    output: Box<dyn Format + 'a>,
    destination: Destination,
    request: &'a Request,
    /// What has come of the text whose next window is awaited.
    unfinished: TextVectors,
    /// All that the output holds.
    tally: Tally,
}

/// One text with all its numbers, or why it has none.
type Finished = std::result::Result<(Arc<Tokenized>, TextVectors), BadText>;

impl<'a> Writer<'a> {
    /// Writes records of `request` in the form `output` to `destination`, which holds those of
    /// `tally` already.
    #[must_use]
    pub fn new(
        output: Box<dyn Format + 'a>,
        destination: Destination,
        request: &'a Request,
        tally: Tally,
    ) -> Self {
        Self {
            output,
            destination,
            request,
            unfinished: TextVectors::default(),
            tally,
        }
    }

    /// Writes the records of the texts that are complete with `encoded`.
    ///
    /// # Errors
    /// [`crate::error::Kind::Output`] where the destination cannot be written.
    pub fn write(&mut self, encoded: Encoded) -> Result<()> {
        let finished = self.stitch(encoded);
        let mut records = Vec::with_capacity(finished.len());
        for text in &finished {
            let index = self.tally.records;
            let tokenized = text.as_ref().map(|(tokenized, _)| &**tokenized);
            self.tally.count(tokenized);
            records.push(match text {
                Ok((tokenized, vectors)) => Ok(self.request.record(index, tokenized, vectors)),
                Err(bad) => Err(BadRecord {
                    index,
                    message: bad.message.clone(),
                }),
            });
        }
        self.output
            .write(&records, &mut self.destination)
            .map_err(|error| named(error, &self.destination))?;
        self.destination.keep(&self.tally, false)
    }

    /// All that the output holds.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The texts that are complete with `encoded`; a text's pieces come one after the other.
    fn stitch(&mut self, encoded: Encoded) -> Vec<Finished> {
        let Encoded { pieces, vectors } = encoded;
        let mut finished = Vec::new();
        let mut place = 0;
        for piece in pieces {
            let piece = match piece {
                Ok(piece) => piece,
                Err(bad) => {
                    finished.push(Err(bad));
                    continue;
                }
            };
            self.unfinished
                .extend(&piece, place, &vectors, self.request.hidden_size);
            place += 1;
            if piece.is_last() {
                finished.push(Ok((piece.of, std::mem::take(&mut self.unfinished))));
            }
        }
        finished
    }

    /// Makes the records written so far outlive an interruption; a stream has them already.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub fn keep(&mut self) -> Result<()> {
        self.destination.keep(&self.tally, true)
    }

    /// Completes the output.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub fn finish(mut self) -> Result<Tally> {
        self.output
            .finish(&mut self.destination)
            .map_err(|error| named(error, &self.destination))?;
        let assembly = self.output.assembly();
        if assembly.is_some() {
            self.destination.keep(&self.tally, true)?;
        }
        self.destination.finish(assembly)?;
        Ok(self.tally)
    }
}

/// A failed write as the user reads it; a form of output does not know where it goes.
fn named(error: Error, destination: &Destination) -> Error {
    match error.kind() {
        Kind::Output => error.context(format!("could not write {}", destination.name())),
        _ => error,
    }
}

impl Request {
    /// The record of a text with its `vectors`.
    fn record<'a>(
        &self,
        index: u64,
        tokenized: &'a Tokenized,
        vectors: &'a TextVectors,
    ) -> Record<'a> {
        let Tokenized { text, encoding, .. } = tokenized;
        let hidden = self.hidden_size;
        let last_hidden_state = &vectors.last_hidden_state[..];
        let pooler_output = vectors.pooler_output.as_deref();
        let real_rows = last_hidden_state
            .get(..encoding.attended * hidden)
            .unwrap_or_default();
        let words = self
            .word_pooling
            .map(|how| words::words(how, text, encoding, real_rows, hidden));
        Record {
            index,
            text,
            encoding,
            hidden,
            last_hidden_state,
            pooler_output,
            hidden_states: self.merge(vectors.hidden_states.iter().map(Vec::as_slice).collect()),
            embedding: self.embedding(real_rows, pooler_output),
            words: words.unwrap_or_default(),
        }
    }

    fn merge<'a>(&self, layers: Vec<&'a [f32]>) -> HiddenStates<'a> {
        let width = match self.layer_merge {
            LayerMerge::None => return HiddenStates::Apart(layers),
            LayerMerge::Concat => layers.len() * self.hidden_size,
            LayerMerge::Mean | LayerMerge::Sum => self.hidden_size,
        };
        let rows = pooling::merge(self.layer_merge, &layers, self.hidden_size);
        HiddenStates::Merged { rows, width }
    }

    fn embedding(&self, rows: &[f32], pooler_output: Option<&[f32]>) -> Vec<f32> {
        let Some(pooling) = self.pooling else {
            return Vec::new();
        };
        let mut embedding = match (pooling, pooler_output) {
            (Pooling::Pooler, Some(pooler_output)) => pooler_output.to_vec(),
            _ => pooling::pool(pooling, rows, self.hidden_size),
        };
        if self.normalize {
            pooling::normalize(&mut embedding);
        }
        embedding
    }
}
