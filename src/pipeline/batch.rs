//! Texts → batches for the encoder: tokenized in parallel, packed by a token budget, in order.
//!
//! Owns the padding to the longest. A batch holds neighbours in input order: the encoder does no
//! work on padding, so sorting by tokens would gain nothing. Whatever has arrived becomes a batch;
//! which texts share one changes no bit of their vectors. A text that is too long for one window
//! comes in several pieces, one after the other, of one batch or of many.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError};

use rayon::prelude::*;

use crate::error::{Error, Kind, Result};
use crate::input::{BadText, Text};
use crate::pipeline::read::{Arrival, Share, TEXTS_AHEAD};
use crate::pipeline::skip::Skipping;
use crate::pipeline::stop::{Ending, POLL, Stop};
use crate::record::Tally;
use crate::tokenize::{Detail, Encoding, OnLong, Padding, Tokenizer, Window};

/// One text with its tokens.
pub struct Tokenized {
    /// The text as read.
    pub text: Text,
    /// Its tokens, all that the record shows.
    pub encoding: Encoding,
    /// Its share of the memory, `None` where all texts must be there at once.
    pub share: Option<Share>,
}

/// One text on its way to the encoder, good or bad.
pub type Item = std::result::Result<Tokenized, BadText>;

/// What the encoder takes of one text at once.
pub struct Piece {
    /// The text that it belongs to.
    pub of: Arc<Tokenized>,
    /// Its place in the text.
    pub window: Window,
}

impl Piece {
    /// Whether the text's record is complete with it.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.window.kept.end == self.of.encoding.tokens()
    }
}

/// Pieces of texts in input order, and the bad texts among them.
pub type Pieces = Vec<std::result::Result<Piece, BadText>>;

/// How texts become batches.
#[derive(Clone, Copy)]
pub struct Plan<'a> {
    /// What the output holds already: its texts are not sent again.
    pub done: &'a Tally,
    /// Whether the first bad text ends the run.
    pub fail_fast: bool,
    /// Turns texts into tokens.
    pub tokenizer: &'a Tokenizer,
    /// What the records need of it.
    pub detail: Detail,
    /// Longest record in tokens.
    pub max_length: usize,
    /// What happens to a text that is longer.
    pub on_long: OnLong,
    /// Tokens that neighbouring windows share.
    pub stride: usize,
    /// How far records are filled up.
    pub padding: Padding,
    /// Tokens of a batch at most, but one window always fits.
    pub batch_tokens: usize,
}

/// Turns the texts that arrive at `from` into batches for `to`.
///
/// # Errors
/// The first error of the input or the tokenizer; the batches before it have been sent.
/// [`Kind::Usage`] where the input is not the one of the run that is resumed.
pub fn prepare(
    plan: Plan,
    from: &Receiver<Result<Arrival>>,
    to: &SyncSender<Pieces>,
    stop: &Stop,
) -> Result<Ending> {
    let mut packer = Packer {
        to,
        plan,
        skipping: Skipping::new(plan.done),
        place: plan.done.records,
        pieces: Vec::new(),
        tokens: 0,
    };
    let ending = pack(&mut packer, from, stop);
    packer.send();
    ending
}

fn pack(packer: &mut Packer, from: &Receiver<Result<Arrival>>, stop: &Stop) -> Result<Ending> {
    let plan = packer.plan;
    let mut held_back = Vec::new();
    loop {
        let first = match next(packer, from, stop) {
            Next::Arrival(arrival) => arrival,
            Next::Nothing(Ending::Complete) => break,
            Next::Nothing(Ending::Stopped) => return Ok(Ending::Stopped),
        };
        let arrivals = std::iter::once(first).chain(from.try_iter());
        for item in plan.encode_all(arrivals.take(TEXTS_AHEAD).collect()) {
            if plan.padding == Padding::Longest {
                held_back.push(item?);
            } else {
                packer.push(item?)?;
            }
        }
    }
    pad_to_longest(plan.tokenizer, &mut held_back);
    held_back
        .into_iter()
        .try_for_each(|item| packer.push(item))?;
    packer.skipping.finish()?;
    Ok(Ending::Complete)
}

enum Next {
    Arrival(Result<Arrival>),
    Nothing(Ending),
}

/// Waits for a text; while none is there, what has arrived before becomes a batch.
fn next(packer: &mut Packer, from: &Receiver<Result<Arrival>>, stop: &Stop) -> Next {
    let mut arrival = from.try_recv().map_err(|empty| match empty {
        TryRecvError::Empty => RecvTimeoutError::Timeout,
        TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
    });
    loop {
        if stop.asked() {
            return Next::Nothing(Ending::Stopped);
        }
        match arrival {
            Ok(arrival) => return Next::Arrival(arrival),
            Err(RecvTimeoutError::Disconnected) => return Next::Nothing(Ending::Complete),
            Err(RecvTimeoutError::Timeout) => packer.send(),
        }
        arrival = from.recv_timeout(POLL);
    }
}

impl Plan<'_> {
    /// The texts as tokens, in order.
    pub(crate) fn encode_all(self, arrivals: Vec<Result<Arrival>>) -> Vec<Result<Item>> {
        arrivals
            .into_par_iter()
            .map(|arrival| self.encode(arrival))
            .collect()
    }

    fn encode(self, arrival: Result<Arrival>) -> Result<Item> {
        let Arrival { text, share } = arrival?;
        let text = match text {
            Ok(text) => text,
            Err(bad) => return Ok(Err(bad)),
        };
        let keep = match self.on_long {
            OnLong::Window => usize::MAX,
            OnLong::Truncate | OnLong::Error => self.max_length,
        };
        let mut encoding = self.tokenizer.encode(&text, keep, self.detail)?;
        if let Some(message) = self.refusal(&text, &encoding) {
            return Ok(Err(BadText { message }));
        }
        if self.padding == Padding::MaxLength {
            self.tokenizer.pad(&mut encoding, self.max_length);
        }
        Ok(Ok(Tokenized {
            text,
            encoding,
            share: (self.padding != Padding::Longest).then_some(share),
        }))
    }

    /// Why a text that is too long becomes an error, where it does.
    fn refusal(&self, text: &Text, encoding: &Encoding) -> Option<String> {
        let (tokens, allowed) = (encoding.tokens() + encoding.dropped_tokens, self.max_length);
        match self.on_long {
            _ if tokens <= allowed => None,
            OnLong::Error => Some(format!(
                "the text has {tokens} tokens: at most {allowed} are allowed"
            )),
            OnLong::Window if text.pair.is_some() => Some(format!(
                "the pair has {tokens} tokens: at most {allowed} are allowed, and windows are for single texts only"
            )),
            OnLong::Window | OnLong::Truncate => None,
        }
    }
}

fn pad_to_longest(tokenizer: &Tokenizer, items: &mut [Item]) {
    let lengths = items
        .iter()
        .flatten()
        .map(|tokenized| tokenized.encoding.tokens());
    let longest = lengths.max().unwrap_or(0);
    items
        .iter_mut()
        .flatten()
        .for_each(|tokenized| tokenizer.pad(&mut tokenized.encoding, longest));
}

/// Collects pieces of texts up to a token budget.
struct Packer<'a> {
    to: &'a SyncSender<Pieces>,
    plan: Plan<'a>,
    skipping: Skipping<'a>,
    /// Place in the input of the next text.
    place: u64,
    pieces: Pieces,
    tokens: usize,
}

impl Packer<'_> {
    /// Takes the next text of the input.
    fn push(&mut self, item: Item) -> Result<()> {
        if self.skipping.skips(item.as_ref())? {
            return Ok(());
        }
        self.place += 1;
        match item {
            Ok(tokenized) => self.push_windows(&Arc::new(tokenized)),
            Err(bad) if self.plan.fail_fast => {
                let what = format!("could not embed text {}", self.place - 1);
                return Err(Error::message(Kind::Input, bad.message).context(what));
            }
            Err(bad) => self.pieces.push(Err(bad)),
        }
        Ok(())
    }

    fn push_windows(&mut self, of: &Arc<Tokenized>) {
        let Plan {
            max_length, stride, ..
        } = self.plan;
        for window in of.encoding.windows(max_length, stride) {
            let tokens = window.rows.len();
            if self.tokens + tokens > self.plan.batch_tokens {
                self.send();
            }
            self.tokens += tokens;
            let of = Arc::clone(of);
            self.pieces.push(Ok(Piece { of, window }));
        }
    }

    /// Sends what is there. Where nobody takes batches any more the run has failed elsewhere, and
    /// its reason is told there.
    fn send(&mut self) {
        self.tokens = 0;
        if !self.pieces.is_empty() {
            let _ = self.to.send(std::mem::take(&mut self.pieces));
        }
    }
}
