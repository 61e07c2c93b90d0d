//! Three threads that hand batches on: read and tokenize, encode, format and write.
//!
//! Owns the threads and the order; `encode.rs` is what the second one does. The encoder waits neither
//! for text nor for numbers to be printed; the queues between the threads are short, so memory does
//! not grow with the input.

use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;

pub mod batch;
mod encode;
pub mod progress;
pub mod read;
mod skip;
pub mod stop;
pub mod write;

use crate::error::Result;
use crate::input::Texts;
use crate::model::{BertModel, Wanted};
use crate::output::KEEP_EVERY;
use crate::record::Tally;
use batch::{Pieces, Plan};
use encode::{Computation, encode};
use progress::Progress;
use read::TEXTS_AHEAD;
use stop::{Ending, Stop};
use write::Writer;

/// Batches that may wait between two threads.
const BATCHES_AHEAD: usize = 2;

/// Neighbours in the input with what the encoder gave for them.
pub struct Encoded {
    /// In input order.
    pub pieces: Pieces,
    /// The good ones' numbers.
    pub vectors: Vectors,
}

/// The outputs of one batch on the host.
pub struct Vectors {
    /// First row of each piece.
    pub first_rows: Vec<usize>,
    /// `[tokens × hidden]`; empty where not wanted.
    pub last_hidden_state: Vec<f32>,
    /// `[pieces × hidden]`; `None` where not wanted or not there.
    pub pooler_output: Option<Vec<f32>>,
    /// `[layers][tokens × hidden]`
    pub hidden_states: Vec<Vec<f32>>,
}

/// What a run consists of.
pub struct Run<'a> {
    /// Turns tokens into numbers.
    pub model: &'a BertModel,
    /// Which numbers.
    pub wanted: &'a Wanted,
    /// How texts become batches.
    pub plan: Plan<'a>,
    /// Ends the run before its time.
    pub stop: &'a Stop,
    /// Whether notes are unwelcome.
    pub quiet: bool,
    /// Shows how far it has come.
    pub progress: Progress,
}

/// Takes every text to its record, until the last one or until somebody wants it to stop; what is
/// with the encoder then is still written.
///
/// # Errors
/// The first error of any thread, the writer's first: where nobody reads the output any more the
/// others only see a closed queue. The records before it are written and kept.
pub fn run(run: Run, texts: Texts, writer: Writer) -> Result<(Tally, Ending)> {
    let (to_tokenizer, arrivals) = sync_channel(TEXTS_AHEAD);
    let (to_encoder, batches) = sync_channel(BATCHES_AHEAD);
    let (to_writer, encoded) = sync_channel(BATCHES_AHEAD);
    let Run {
        model,
        wanted,
        plan,
        stop,
        quiet,
        progress,
    } = run;
    let flow = progress.flow();
    thread::scope(|scope| {
        // Not joined: a read from a terminal or a pipe may never return.
        thread::spawn(move || read::read(texts, &to_tokenizer, &flow));
        let tokenizing = scope.spawn(move || batch::prepare(plan, &arrivals, &to_encoder, stop));
        let writing = scope.spawn(move || write(writer, progress, &encoded));
        let start = |pieces: &Pieces| Computation::start(model, wanted, pieces);
        let encoding = encode(start, &batches, &to_writer, stop, quiet);
        drop((batches, to_writer));
        let mut writer = join(writing)?;
        let prepared = join(tokenizing);
        match encoding.and_then(|encoded| Ok(encoded.and(prepared?))) {
            Ok(Ending::Complete) => Ok((writer.finish()?, Ending::Complete)),
            Ok(Ending::Stopped) => {
                writer.keep()?;
                Ok((writer.tally().clone(), Ending::Stopped))
            }
            Err(error) => {
                writer.keep()?;
                Err(error)
            }
        }
    })
}

/// What a thread returned; its panic goes on here.
fn join<T>(thread: thread::ScopedJoinHandle<Result<T>>) -> Result<T> {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Each batch is written when it comes, so that whoever waits for a record gets it.
fn write<'a>(
    mut writer: Writer<'a>,
    mut progress: Progress,
    from: &Receiver<Encoded>,
) -> Result<Writer<'a>> {
    loop {
        match from.recv_timeout(KEEP_EVERY) {
            Ok(encoded) => {
                let tokens = encoded.tokens();
                writer.write(encoded)?;
                progress.show(writer.tally().records, tokens);
            }
            Err(RecvTimeoutError::Timeout) => writer.keep()?,
            Err(RecvTimeoutError::Disconnected) => return Ok(writer),
        }
    }
}

impl Encoded {
    /// Tokens that the encoder took.
    fn tokens(&self) -> usize {
        let pieces = self.pieces.iter().flatten();
        pieces.map(|piece| piece.window.rows.len()).sum()
    }
}
