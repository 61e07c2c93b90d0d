//! The encoder's thread: batches of windows → their outputs, in order.
//!
//! A GPU gets the next batch before the outputs of the last one are fetched. A batch that does not
//! fit into its memory is split. `compute.rs` computes one batch.

use std::sync::mpsc::{Receiver, TryRecvError};

use crate::error::{Error, Kind, Result};
use crate::model::Outputs;
use crate::notes;
use crate::ops::OutOfMemory;
use crate::pipeline::stop::{Ending, Stop};
use crate::pipeline::types::{EncodedBatch, TextWindow, WindowBatch, batch_tokens};

#[cfg(test)]
mod tests;

/// The outputs of a batch that the device has started on.
pub(crate) trait PendingOutputs {
    /// Whether they are in host memory; on the CPU they always are.
    fn is_ready(&self) -> bool;

    fn wait(self) -> Result<Outputs<Vec<f32>>>;
}

/// Encodes the batches that arrive at `from` until there are no more, `stop` is requested, or
/// `send` returns false.
///
/// If the device has too little memory for a batch, it is started again in parts of half as many
/// tokens, and no later batch is larger. A note says so once.
///
/// # Errors
/// The first error of the device or the model; the batches before it have been sent.
pub(crate) fn encode<R: PendingOutputs>(
    start: impl Fn(&WindowBatch) -> Result<R>,
    from: &Receiver<WindowBatch>,
    send: impl FnMut(EncodedBatch) -> bool,
    stop: &Stop,
) -> Result<Ending> {
    let mut encoder = BatchEncoder {
        start,
        send,
        in_flight: None,
        max_tokens: usize::MAX,
        is_receiver_gone: false,
    };
    let ending = encoder.encode_all(from, stop);
    // Flush the batch in flight, so that its records precede the error.
    let flushed = encoder.flush();
    ending
        .and_then(|ending| flushed.map(|()| ending))
        .map_err(|error| match error.kind() {
            Kind::Device if !error.is_caused_by::<OutOfMemory>() => {
                error.context("could not encode the texts")
            }
            _ => error,
        })
}

struct BatchEncoder<B, S, R> {
    start: B,
    send: S,
    in_flight: Option<(WindowBatch, R)>,
    /// The most tokens in a batch, once the device has run out of memory.
    max_tokens: usize,
    is_receiver_gone: bool,
}

impl<R, B, S> BatchEncoder<B, S, R>
where
    R: PendingOutputs,
    B: Fn(&WindowBatch) -> Result<R>,
    S: FnMut(EncodedBatch) -> bool,
{
    fn encode_all(&mut self, from: &Receiver<WindowBatch>, stop: &Stop) -> Result<Ending> {
        loop {
            let windows = if self.in_flight.is_none() {
                from.recv().map_err(|_| TryRecvError::Disconnected)
            } else {
                from.try_recv()
            };
            match windows {
                Err(TryRecvError::Disconnected) => return Ok(Ending::Complete),
                // There is nothing else to compute, so the finished batch is not held back.
                Err(TryRecvError::Empty) => self.flush()?,
                Ok(_) if stop.asked() => return Ok(Ending::Stopped),
                Ok(windows) => self.take(windows)?,
            }
            if self.is_receiver_gone {
                return Ok(Ending::Complete);
            }
        }
    }

    /// Starts a batch, or the parts of it that fit, and sends the previous one.
    fn take(&mut self, windows: WindowBatch) -> Result<()> {
        let mut waiting = split(windows, self.max_tokens);
        waiting.reverse();
        while !self.is_receiver_gone
            && let Some(windows) = waiting.pop()
        {
            match self.begin(&windows) {
                Ok(running) => self.hand_over(windows, running)?,
                Err(error) if !self.is_receiver_gone && error.is_caused_by::<OutOfMemory>() => {
                    let mut parts = self.halve(windows, error)?;
                    parts.reverse();
                    waiting.extend(parts);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Starts a batch. If there is no memory for it next to the batch in flight, that one is
    /// flushed first.
    fn begin(&mut self, windows: &WindowBatch) -> Result<R> {
        match (self.start)(windows) {
            Err(error) if self.in_flight.is_some() && error.is_caused_by::<OutOfMemory>() => {
                self.flush()?;
                (self.start)(windows)
            }
            started => started,
        }
    }

    /// Sends the batch in flight and puts `running` in its place, or sends that too if it is done.
    fn hand_over(&mut self, windows: WindowBatch, running: R) -> Result<()> {
        self.flush()?;
        let is_done = running.is_ready();
        self.in_flight = Some((windows, running));
        if is_done {
            self.flush()?;
        }
        Ok(())
    }

    /// Sends the batch in flight, unless the later stages have stopped.
    fn flush(&mut self) -> Result<()> {
        if let Some((windows, running)) = self.in_flight.take()
            && !self.is_receiver_gone
        {
            let outputs = running.wait()?;
            self.is_receiver_gone = !(self.send)(EncodedBatch { windows, outputs });
        }
        Ok(())
    }

    /// Splits the batch into parts of half as many tokens, which is the limit from now on. A note
    /// says so once.
    fn halve(&mut self, windows: WindowBatch, error: Error) -> Result<Vec<WindowBatch>> {
        let tokens = batch_tokens(&windows);
        if windows.iter().flatten().count() < 2 {
            let what = format!("could not encode a text of {tokens} tokens");
            return Err(error.context(what).with_tip(
                "use --max-length with fewer tokens, --device cpu, or --dtype f16 if it was f32",
            ));
        }
        let half = tokens.div_ceil(2);
        if self.max_tokens == usize::MAX {
            notes::note(&format!(
                "the GPU has no memory for {tokens} tokens at once: \
                 continuing with {half}, or fewer if necessary"
            ));
        }
        self.max_tokens = half.min(self.max_tokens);
        Ok(split(windows, self.max_tokens))
    }
}

/// The windows in order, in groups of at most `max_tokens`, but of at least one window.
fn split(windows: WindowBatch, max_tokens: usize) -> Vec<WindowBatch> {
    let mut groups = Vec::new();
    let mut group = WindowBatch::new();
    let mut group_tokens = 0;
    for window in windows {
        let tokens = window.as_ref().map_or(0, TextWindow::tokens);
        if group_tokens > 0 && group_tokens + tokens > max_tokens {
            groups.push(std::mem::take(&mut group));
            group_tokens = 0;
        }
        group_tokens += tokens;
        group.push(window);
    }
    groups.push(group);
    groups
}
