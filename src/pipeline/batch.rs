//! The tokenizer's thread: queued texts → batches of windows, packed by a token budget, in order.
//!
//! A batch holds neighbours of the input. The encoder does no work for padding, so sorting texts by
//! length would gain nothing. Whatever has arrived becomes a batch, and no bit of a vector depends
//! on which texts share one. A text that is too long for one window becomes several, which follow
//! each other in one batch or several.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};

use crate::error::{Error, Kind, Result};
use crate::input::{Text, TextOrBad};
use crate::pipeline::budget::BytePermit;
use crate::pipeline::read::TEXTS_AHEAD;
use crate::pipeline::resume_check::ResumeCheck;
use crate::pipeline::stop::{Ending, POLL, Stop};
use crate::pipeline::tokenize::TextTokenizer;
use crate::pipeline::types::{QueuedText, TextWindow, WindowBatch};
use crate::record::{RunCounts, TokenizedText};
use crate::threads::Threads;
use crate::tokenize::Padding;

#[derive(Clone, Copy)]
pub(crate) struct Plan<'a> {
    /// What the output already holds. These texts are read and checked, but not sent on.
    pub done: &'a RunCounts,
    /// Whether the first bad text ends the run.
    pub fail_fast: bool,
    pub tokenizer: TextTokenizer<'a>,
    /// Where texts are tokenized and encoded.
    pub threads: &'a Threads,
    /// The most tokens in a batch; one window always fits.
    pub batch_tokens: usize,
}

impl Plan<'_> {
    /// The texts as tokens. An `Err` outside ends the run, one inside is the text's own.
    pub(crate) fn tokenize_all(
        self,
        queued: Vec<Result<QueuedText<Text>>>,
    ) -> Vec<Result<QueuedText<TokenizedText>>> {
        self.threads.install(|| self.tokenizer.tokenize_all(queued))
    }
}

/// Turns the texts that arrive at `from` into batches and gives them to `send`, which returns
/// whether it takes more.
///
/// # Errors
/// The first error of the input or the tokenizer; the batches before it have been sent.
/// [`Kind::Usage`] if the input is not the input of the interrupted run.
pub(crate) fn pack(
    plan: Plan,
    from: &Receiver<Result<QueuedText<Text>>>,
    send: impl FnMut(WindowBatch) -> bool,
    stop: &Stop,
) -> Result<Ending> {
    let mut packer = Packer {
        send,
        plan,
        resume_check: ResumeCheck::new(plan.done),
        windows: Vec::new(),
        tokens: 0,
        is_receiver_gone: false,
    };
    let ending = packer.pack_all(from, stop);
    packer.send();
    ending
}

/// Collects windows of texts up to the token budget.
struct Packer<'a, S> {
    send: S,
    plan: Plan<'a>,
    resume_check: ResumeCheck<'a>,
    windows: WindowBatch,
    tokens: usize,
    is_receiver_gone: bool,
}

enum Next {
    Text(Result<QueuedText<Text>>),
    Nothing(Ending),
}

impl<S: FnMut(WindowBatch) -> bool> Packer<'_, S> {
    fn pack_all(
        &mut self,
        from: &Receiver<Result<QueuedText<Text>>>,
        stop: &Stop,
    ) -> Result<Ending> {
        let plan = self.plan;
        let mut held_back = Vec::new();
        loop {
            let first = match self.next(from, stop) {
                Next::Text(queued) => queued,
                Next::Nothing(Ending::Complete) => break,
                Next::Nothing(Ending::Stopped) => return Ok(Ending::Stopped),
            };
            let queued = std::iter::once(first).chain(from.try_iter());
            let queued = queued.take(TEXTS_AHEAD).collect();
            for text in plan.tokenize_all(queued) {
                let QueuedText { text, permit } = text?;
                if plan.tokenizer.options.padding == Padding::Longest {
                    held_back.push(text);
                } else {
                    self.push(text, Some(permit))?;
                }
            }
            if self.is_receiver_gone {
                return Ok(Ending::Complete);
            }
        }
        plan.tokenizer.pad_to_longest(&mut held_back);
        let mut texts = held_back.into_iter();
        texts.try_for_each(|text| self.push(text, None))?;
        self.resume_check.finish()?;
        Ok(Ending::Complete)
    }

    /// Waits for a text. If none has arrived yet, first sends the windows collected so far.
    fn next(&mut self, from: &Receiver<Result<QueuedText<Text>>>, stop: &Stop) -> Next {
        let mut queued = from.try_recv().map_err(|empty| match empty {
            TryRecvError::Empty => RecvTimeoutError::Timeout,
            TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
        });
        loop {
            if stop.is_over() {
                return Next::Nothing(Ending::Stopped);
            }
            match queued {
                Ok(queued) => return Next::Text(queued),
                Err(RecvTimeoutError::Disconnected) => return Next::Nothing(Ending::Complete),
                Err(RecvTimeoutError::Timeout) => self.send(),
            }
            queued = from.recv_timeout(POLL);
        }
    }

    /// Takes the next text of the input.
    fn push(&mut self, text: TextOrBad<TokenizedText>, permit: Option<BytePermit>) -> Result<()> {
        if self.resume_check.skips(text.as_ref())? {
            return Ok(());
        }
        match text {
            Ok(text) => self.push_windows(&Arc::new(text), permit),
            Err(bad) if self.plan.fail_fast => {
                let what = format!("could not embed text {}", bad.place.index);
                return Err(Error::message(Kind::Input, bad.message).context(what));
            }
            Err(bad) => self.windows.push(Err(bad)),
        }
        Ok(())
    }

    fn push_windows(&mut self, text: &Arc<TokenizedText>, mut permit: Option<BytePermit>) {
        let options = self.plan.tokenizer.options;
        let encoding = &text.encoding;
        for window in encoding.windows(options.max_length, options.stride) {
            let tokens = window.rows.len();
            if self.tokens + tokens > self.plan.batch_tokens {
                self.send();
            }
            if self.is_receiver_gone {
                return;
            }
            self.tokens += tokens;
            let is_last = window.kept.end == encoding.tokens();
            self.windows.push(Ok(TextWindow {
                text: Arc::clone(text),
                window,
                permit: permit.take_if(|_| is_last),
            }));
        }
    }

    /// Sends the windows collected so far. A send fails only if a later stage has stopped, and that
    /// stage reports why.
    fn send(&mut self) {
        self.tokens = 0;
        if !self.windows.is_empty() {
            self.is_receiver_gone = !(self.send)(std::mem::take(&mut self.windows));
        }
    }
}
