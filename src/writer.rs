//! Encoded texts → records in the destination, and the tally that is told at the end.

use std::sync::Arc;

use crate::batch::Tokenized;
use crate::cli::{LayerMerge, Pooling};
use crate::error::{Error, Kind, Result};
use crate::input::BadText;
use crate::output::{BadRecord, Destination, Format, HiddenStates, Record};
use crate::pipeline::Encoded;
use crate::request::Request;
use crate::stitch::TextVectors;
use crate::tokenize::Encoding;
use crate::{pooling, words};

/// Counts of one run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records written, bad ones included.
    pub records: u64,
    /// Records that are errors.
    pub errors: u64,
    /// Texts that did not fit.
    pub truncated_texts: u64,
    /// Tokens that did not fit.
    pub dropped_tokens: u64,
}

/// Makes records and hands them to their form of output.
pub struct Writer<'a> {
    output: Box<dyn Format + 'a>,
    destination: Destination,
    request: &'a Request,
    /// What has come of the text whose next window is awaited.
    unfinished: TextVectors,
    tally: Tally,
}

/// One text with all its numbers, or why it has none.
type Finished = std::result::Result<(Arc<Tokenized>, TextVectors), BadText>;

impl<'a> Writer<'a> {
    /// Writes records of `request` in the form `output` to `destination`.
    #[must_use]
    pub fn new(
        output: Box<dyn Format + 'a>,
        destination: Destination,
        request: &'a Request,
    ) -> Self {
        Self {
            output,
            destination,
            request,
            unfinished: TextVectors::default(),
            tally: Tally::default(),
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
            self.tally.records += 1;
            records.push(match text {
                Ok((tokenized, vectors)) => {
                    self.count(&tokenized.encoding);
                    Ok(self.request.record(index, tokenized, vectors))
                }
                Err(bad) => {
                    self.tally.errors += 1;
                    Err(BadRecord {
                        index,
                        message: bad.message.clone(),
                    })
                }
            });
        }
        self.output
            .write(&records, &mut self.destination)
            .map_err(|error| named(error, &self.destination))
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

    /// Makes the records written so far visible to a reader of a stream.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub fn flush(&mut self) -> Result<()> {
        self.destination.flush_stream()
    }

    /// Completes the output.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub fn finish(mut self) -> Result<Tally> {
        self.output
            .finish(&mut self.destination)
            .map_err(|error| named(error, &self.destination))?;
        if let Some(head) = self.output.head() {
            self.destination.replace_head(&head)?;
        }
        self.destination.finish()?;
        Ok(self.tally)
    }

    fn count(&mut self, encoding: &Encoding) {
        self.tally.truncated_texts += u64::from(encoding.dropped_tokens > 0);
        self.tally.dropped_tokens += encoding.dropped_tokens as u64;
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
        let Tokenized { text, encoding } = tokenized;
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
