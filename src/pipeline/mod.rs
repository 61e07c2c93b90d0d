//! The threads of a run and the order in which they work: read, tokenize, encode, write.
//!
//! The encoder never waits for texts to be read or for records to be written. The queues between
//! the threads are short, so memory does not grow with the input. The types that travel through the
//! queues are in `types.rs`.

mod batch;
mod budget;
mod compute;
mod encode;
mod on_demand;
mod progress;
mod read;
mod resume_check;
mod stitch;
mod stop;
mod tokenize;
mod types;
mod write;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use crate::error::{Error, Kind, Result};
use crate::input::{Text, TextOrBad, Texts};
use crate::model::{BertModel, Output};
use crate::record::{RunCounts, TokenizedText};
use crate::tokenize::Padding;
pub(crate) use batch::Plan;
pub(crate) use compute::ThreadedModel;
pub(crate) use on_demand::{OnDemand, tokenize};
pub(crate) use progress::{RunProgress, has_terminal};
pub(crate) use stop::{Ending, Stop};
pub(crate) use tokenize::{Prompt, TextTokenizer};
pub(crate) use write::Writer;

use budget::ByteBudget;
use types::{QueuedText, WindowBatch};

/// The most batches that wait between two threads.
const BATCHES_AHEAD: usize = 2;

pub(crate) struct Run<'a> {
    pub model: &'a BertModel,
    pub outputs: &'a [Output],
    pub plan: Plan<'a>,
    pub stop: &'a Stop,
    /// Shows how far the run has come.
    pub progress: RunProgress,
}

/// Processes every text. On a stop request, batches already in the encoder are still written.
///
/// # Errors
/// The first error of any thread, the writer's first: if the reader of the output is gone, the
/// other threads see only a closed queue. The records before the error are written and kept.
/// [`Kind::Device`] if the system refuses a thread.
pub(crate) fn run(run: Run, texts: Texts, writer: Writer) -> Result<(RunCounts, Ending)> {
    let Run {
        model,
        outputs,
        plan,
        stop,
        progress,
    } = run;
    let (to_encoder, batches) = sync_channel(BATCHES_AHEAD);
    let (to_writer, encoded) = sync_channel(BATCHES_AHEAD);
    let budget = progress.budget();
    thread::scope(move |scope| {
        // In this order, so that the threads already running end if the next one cannot start.
        let writing = start(scope, move || write::write_all(writer, progress, &encoded))?;
        let queued = start_reading(texts, budget)?;
        let tokenizing = start(scope, move || {
            batch::pack(plan, &queued, |batch| to_encoder.send(batch).is_ok(), stop)
        })?;
        let forward = ThreadedModel {
            model,
            outputs,
            threads: plan.threads,
        };
        let begin = |windows: &WindowBatch| forward.start(windows);
        let send = |batch| to_writer.send(batch).is_ok();
        let encoding = encode::encode(begin, &batches, send, stop);
        stop.abandon();
        drop((batches, to_writer));
        let (mut writer, progress) = join(writing)?;
        let prepared = join(tokenizing);
        match encoding.and_then(|encoded| Ok(encoded.and(prepared?))) {
            Ok(Ending::Complete) => {
                let counts = writer.finish()?;
                progress.finish(counts.records - plan.done.records);
                Ok((counts, Ending::Complete))
            }
            Ok(Ending::Stopped) => {
                writer.keep(true)?;
                Ok((writer.counts().clone(), Ending::Stopped))
            }
            Err(error) => {
                writer.keep(true)?;
                Err(error)
            }
        }
    })
}

/// Reads and tokenizes `texts` without encoding them, and gives them to `take` some at a time.
///
/// # Errors
/// An error of reading, of tokenizing or of `take`; [`Kind::Device`] if the system refuses a
/// thread.
pub(crate) fn tokenize_only(
    plan: Plan,
    texts: Texts,
    mut take: impl FnMut(Vec<TextOrBad<TokenizedText>>) -> Result<()>,
) -> Result<()> {
    let queued = start_reading(texts, Arc::default())?;
    while let Ok(first) = queued.recv() {
        // Only texts that have arrived: waiting for more would hold permits that the reader needs.
        let more = queued.try_iter().take(read::TEXTS_AHEAD - 1);
        let chunk = std::iter::once(first).chain(more).collect();
        let texts: Result<Vec<_>> = plan.tokenize_all(chunk).into_iter().collect();
        let texts = texts?
            .into_iter()
            .map(|queued| (queued.text, queued.permit));
        let (texts, _permits): (_, Vec<_>) = texts.unzip();
        take(texts)?;
    }
    Ok(())
}

/// Counts `texts` as a run that writes their records would.
///
/// # Errors
/// An error of reading or tokenizing; [`Kind::Device`] if the system refuses a thread.
pub(crate) fn count(plan: Plan, texts: Texts) -> Result<RunCounts> {
    let mut counts = RunCounts::default();
    let mut held_back = Vec::new();
    tokenize_only(plan, texts, |texts| {
        if plan.tokenizer.options.padding == Padding::Longest {
            held_back.extend(texts);
        } else {
            count_all(&mut counts, &texts);
        }
        Ok(())
    })?;
    plan.tokenizer.pad_to_longest(&mut held_back);
    count_all(&mut counts, &held_back);
    Ok(counts)
}

fn count_all(counts: &mut RunCounts, texts: &[TextOrBad<TokenizedText>]) {
    for text in texts {
        counts.count(text.as_ref());
    }
}

/// Starts the reader. It is never joined, because a read from a terminal or a pipe may never
/// return.
fn start_reading(
    texts: Texts,
    budget: Arc<ByteBudget>,
) -> Result<Receiver<Result<QueuedText<Text>>>> {
    let (to_tokenizer, queued) = sync_channel(read::TEXTS_AHEAD);
    thread::Builder::new()
        .spawn(move || read::read(texts, &to_tokenizer, &budget))
        .map_err(no_thread)?;
    Ok(queued)
}

fn start<'scope, T: Send + 'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<thread::ScopedJoinHandle<'scope, T>> {
    let thread = thread::Builder::new();
    thread.spawn_scoped(scope, work).map_err(no_thread)
}

fn no_thread(cause: std::io::Error) -> Error {
    Error::new(Kind::Device, cause)
        .context("could not start a thread")
        .with_tip("raise the limit of processes (ulimit -u) or of memory (ulimit -v)")
}

/// The result of a thread; its panic continues here.
fn join<T>(thread: thread::ScopedJoinHandle<Result<T>>) -> Result<T> {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
