//! The encoder's thread: batches of texts → their numbers on the host.
//!
//! Owns what happens when a device runs out of memory, and that a GPU is given the next batch before
//! the numbers of the last one are waited for. Leaves the threads to
//! `pipeline.rs` and the computation to `model/`.

use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};

use rayon::prelude::*;

use crate::error::{Error, Kind, Result};
use crate::model::{Batch, BertModel, Outputs, Wanted};
use crate::ops::{Download, OutOfMemory, failed};
use crate::pipeline::batch::{Piece, Pieces};
use crate::pipeline::stop::{Ending, Stop};
use crate::pipeline::{Encoded, Vectors};

#[cfg(test)]
mod tests;

/// A batch that the device has begun.
pub(crate) trait Running {
    /// Whether its numbers are there already: a CPU is done when it has begun.
    fn is_done(&self) -> bool;

    /// Its numbers, waited for.
    fn finish(self) -> Result<Vectors>;
}

/// Encodes the batches that arrive at `from` until there are none, nobody takes them, or `stop`.
///
/// A batch for which the device has no memory is begun again in parts of half as many tokens, and
/// no later one is larger; a note says so once, unless `quiet`.
///
/// # Errors
/// The first error of the device or the model; the batches before it have been sent.
pub(crate) fn encode<R: Running>(
    start: impl Fn(&Pieces) -> Result<R>,
    from: &Receiver<Pieces>,
    to: &SyncSender<Encoded>,
    stop: &Stop,
    quiet: bool,
) -> Result<Ending> {
    let mut encoder = Encoder {
        start,
        to,
        quiet,
        ahead: None,
        max_tokens: usize::MAX,
    };
    let ending = encoder.encode(from, stop);
    // What was begun before an error is told with the records before it.
    let finished = encoder.finish();
    ending
        .and_then(|ending| finished.map(|_| ending))
        .map_err(|error| match error.kind() {
            Kind::Device if !error.is_caused_by::<OutOfMemory>() => {
                error.context("could not encode the texts")
            }
            _ => error,
        })
}

/// Whether somebody still takes what is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    There,
    Gone,
}

struct Encoder<'a, S, R> {
    start: S,
    to: &'a SyncSender<Encoded>,
    quiet: bool,
    /// The batch that the device is at.
    ahead: Option<(Pieces, R)>,
    /// Tokens of a batch at most, since the device was out of memory.
    max_tokens: usize,
}

impl<R: Running, S: Fn(&Pieces) -> Result<R>> Encoder<'_, S, R> {
    fn encode(&mut self, from: &Receiver<Pieces>, stop: &Stop) -> Result<Ending> {
        loop {
            let pieces = if self.ahead.is_none() {
                from.recv().map_err(|_| TryRecvError::Disconnected)
            } else {
                from.try_recv()
            };
            let reader = match pieces {
                Err(TryRecvError::Disconnected) => return Ok(Ending::Complete),
                // Nothing to run meanwhile: whoever waits for a record gets it.
                Err(TryRecvError::Empty) => self.finish()?,
                Ok(_) if stop.asked() => return Ok(Ending::Stopped),
                Ok(pieces) => self.take(pieces)?,
            };
            if reader == Reader::Gone {
                return Ok(Ending::Complete);
            }
        }
    }

    /// Begins a batch, or the parts of it that fit, and finishes the one before.
    fn take(&mut self, pieces: Pieces) -> Result<Reader> {
        let mut waiting = split(pieces, self.max_tokens);
        waiting.reverse();
        while let Some(pieces) = waiting.pop() {
            let started = match (self.start)(&pieces) {
                // Once more when the batch before has given back what it has.
                Err(error) if self.ahead.is_some() && error.is_caused_by::<OutOfMemory>() => {
                    if self.finish()? == Reader::Gone {
                        return Ok(Reader::Gone);
                    }
                    (self.start)(&pieces)
                }
                started => started,
            };
            match started {
                Ok(running) => {
                    if self.finish()? == Reader::Gone {
                        return Ok(Reader::Gone);
                    }
                    let is_done = running.is_done();
                    self.ahead = Some((pieces, running));
                    if is_done && self.finish()? == Reader::Gone {
                        return Ok(Reader::Gone);
                    }
                }
                Err(error) if error.is_caused_by::<OutOfMemory>() => {
                    let mut parts = self.halves(pieces, error)?;
                    parts.reverse();
                    waiting.extend(parts);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Reader::There)
    }

    /// Sends the batch that the device is at.
    fn finish(&mut self) -> Result<Reader> {
        let Some((pieces, running)) = self.ahead.take() else {
            return Ok(Reader::There);
        };
        let vectors = running.finish()?;
        Ok(match self.to.send(Encoded { pieces, vectors }) {
            Ok(()) => Reader::There,
            Err(_) => Reader::Gone,
        })
    }

    /// The batch in parts of half as many tokens, which from now on is the most; said once.
    fn halves(&mut self, pieces: Pieces, error: Error) -> Result<Vec<Pieces>> {
        let tokens: usize = pieces.iter().flatten().map(tokens).sum();
        if pieces.iter().flatten().count() < 2 {
            let what = format!("could not encode a text of {tokens} tokens");
            return Err(error.context(what).with_tip(
                "use --max-length with fewer tokens, --device cpu, or --dtype f16 where it was f32",
            ));
        }
        let half = tokens.div_ceil(2);
        if self.max_tokens == usize::MAX && !self.quiet {
            eprintln!(
                "note: the GPU has no memory for {tokens} tokens at once: going on with {half}, and fewer if need be"
            );
        }
        self.max_tokens = half.min(self.max_tokens);
        Ok(split(pieces, self.max_tokens))
    }
}

fn tokens(piece: &Piece) -> usize {
    piece.window.rows.len()
}

/// The pieces in order, in groups of at most `max_tokens`, but at least one piece.
fn split(pieces: Pieces, max_tokens: usize) -> Vec<Pieces> {
    let mut groups = Vec::new();
    let mut group = Pieces::new();
    let mut group_tokens = 0;
    for piece in pieces {
        let tokens = piece.as_ref().map_or(0, tokens);
        if group_tokens > 0 && group_tokens + tokens > max_tokens {
            groups.push(std::mem::take(&mut group));
            group_tokens = 0;
        }
        group_tokens += tokens;
        group.push(piece);
    }
    groups.push(group);
    groups
}

/// The outputs of one batch on their way to the host.
pub(crate) struct Computation {
    first_rows: Vec<usize>,
    last_hidden_state: Option<Download>,
    pooler_output: Option<Download>,
    hidden_states: Vec<Download>,
    is_done: bool,
}

impl Computation {
    /// Has the model compute what is `wanted` of `pieces`.
    ///
    /// # Errors
    /// [`Kind::Device`] where the device fails, caused by [`OutOfMemory`] where fewer may fit.
    pub(crate) fn start(model: &BertModel, wanted: &Wanted, pieces: &Pieces) -> Result<Self> {
        let mut batch = Batch::default();
        for Piece { of, window } in pieces.iter().flatten() {
            let (encoding, rows) = (&of.encoding, window.rows.clone());
            batch.push(
                &encoding.window_ids(window),
                &encoding.token_type_ids[rows.clone()],
                encoding.attended.min(rows.end) - rows.start,
            );
        }
        let outputs = if batch.sequences.is_empty() {
            Outputs::default()
        } else {
            model.forward(&batch, wanted)?
        };
        let is_done = outputs.are_on_the_host();
        let download = |tensor| Download::start(tensor).map_err(failed);
        let hidden_states = outputs.hidden_states.into_iter().map(download);
        Ok(Self {
            first_rows: batch.sequences.iter().map(|it| it.start).collect(),
            hidden_states: hidden_states.collect::<Result<_>>()?,
            last_hidden_state: outputs.last_hidden_state.map(download).transpose()?,
            pooler_output: outputs.pooler_output.map(download).transpose()?,
            is_done,
        })
    }
}

impl Running for Computation {
    fn is_done(&self) -> bool {
        self.is_done
    }

    fn finish(self) -> Result<Vectors> {
        let hidden_states = self.hidden_states.into_iter().map(host);
        Ok(Vectors {
            first_rows: self.first_rows,
            last_hidden_state: self
                .last_hidden_state
                .map(host)
                .transpose()?
                .unwrap_or_default(),
            pooler_output: self.pooler_output.map(host).transpose()?,
            hidden_states: hidden_states.collect::<Result<_>>()?,
        })
    }
}

/// Numbers that are looked at by one processor.
const PIECE: usize = 1 << 16;

/// The numbers that arrive, all of them finite.
fn host(download: Download) -> Result<Vec<f32>> {
    let numbers = download.finish().map_err(failed)?;
    let is_finite = |piece: &[f32]| piece.iter().all(|number| number.is_finite());
    if numbers.par_chunks(PIECE).all(is_finite) {
        return Ok(numbers);
    }
    Err(Error::message(
        Kind::Model,
        "its output is not finite: the weights hold NaN, infinity or numbers too large",
    )
    .context("could not use the model"))
}
