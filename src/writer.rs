//! Encoded texts → records in the destination, and the tally that is told at the end.

use crate::cli::{LayerMerge, Pooling};
use crate::error::{Error, Kind, Result};
use crate::input::Text;
use crate::output::{BadRecord, Destination, Format, HiddenStates, Record};
use crate::pipeline::{Encoded, Vectors};
use crate::pooling;
use crate::request::Request;
use crate::tokenize::Encoding;

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
    tally: Tally,
}

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
            tally: Tally::default(),
        }
    }

    /// Writes the records of the next texts.
    ///
    /// # Errors
    /// [`crate::error::Kind::Output`] where the destination cannot be written.
    pub fn write(&mut self, encoded: &Encoded) -> Result<()> {
        let mut good = 0;
        let mut records = Vec::with_capacity(encoded.items.len());
        for item in &encoded.items {
            let index = self.tally.records;
            self.tally.records += 1;
            records.push(match item {
                Ok((text, encoding)) => {
                    self.count(encoding);
                    good += 1;
                    Ok(self
                        .request
                        .record(index, text, encoding, &encoded.vectors, good - 1))
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
    /// The record of the good text number `place` of a batch.
    fn record<'a>(
        &self,
        index: u64,
        text: &'a Text,
        encoding: &'a Encoding,
        vectors: &'a Vectors,
        place: usize,
    ) -> Record<'a> {
        let hidden = self.hidden_size;
        let (start, tokens) = vectors.rows[place];
        let rows = |tensor: &'a [f32]| {
            if tensor.is_empty() {
                tensor
            } else {
                &tensor[start * hidden..(start + tokens) * hidden]
            }
        };
        let last_hidden_state = rows(&vectors.last_hidden_state);
        let pooler_output = vectors.pooler_output.as_ref();
        let pooler_output = pooler_output.map(|it| &it[place * hidden..(place + 1) * hidden]);
        let layers = vectors
            .hidden_states
            .iter()
            .map(|layer| rows(layer))
            .collect();
        let real_rows = last_hidden_state
            .get(..encoding.attended * hidden)
            .unwrap_or_default();
        Record {
            index,
            text,
            encoding,
            hidden,
            last_hidden_state,
            pooler_output,
            hidden_states: self.merge(layers),
            embedding: self.embedding(real_rows, pooler_output),
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
