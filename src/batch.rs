//! Texts → batches for the encoder: tokenized in parallel, packed by a token budget, in order.
//!
//! Owns the reading ahead and the padding to the longest. A batch holds neighbours in input order:
//! the encoder does no work on padding, so sorting by tokens would gain nothing. Whatever has
//! arrived becomes a batch; which texts share one changes no bit of their vectors. A text that is
//! too long for one window comes in several pieces, one after the other, of one batch or of many.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};

use rayon::prelude::*;

use crate::cli::{OnLong, Padding};
use crate::error::Result;
use crate::input::{BadText, Text, Texts};
use crate::tokenize::{Detail, Encoding, Tokenizer, Window};

/// One text as it was read: good, bad, or the error that ends the input.
pub type Arrival = Result<std::result::Result<Text, BadText>>;

/// One text with its tokens.
pub struct Tokenized {
    /// The text as read.
    pub text: Text,
    /// Its tokens, all that the record shows.
    pub encoding: Encoding,
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

/// Texts that may wait for the tokenizer; a few hundred keep every thread busy.
pub const TEXTS_AHEAD: usize = 512;

/// How texts become batches.
#[derive(Clone, Copy)]
pub struct Plan<'a> {
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

/// Sends `texts` to `to` until the end, an error, or until nobody takes them any more.
pub fn read(texts: Texts, to: &SyncSender<Arrival>) {
    for text in texts {
        if to.send(text).is_err() {
            return;
        }
    }
}

/// Turns the texts that arrive at `from` into batches for `to`.
///
/// # Errors
/// The first error of the input or the tokenizer; the batches before it have been sent.
pub fn prepare(plan: Plan, from: &Receiver<Arrival>, to: &SyncSender<Pieces>) -> Result<()> {
    let mut packer = Packer {
        to,
        plan,
        pieces: Vec::new(),
        tokens: 0,
    };
    let mut held_back = Vec::new();
    while let Ok(first) = from.recv() {
        let arrivals: Vec<Arrival> = std::iter::once(first)
            .chain(from.try_iter())
            .take(TEXTS_AHEAD)
            .collect();
        let caught_up = arrivals.len() < TEXTS_AHEAD;
        for item in plan.encode_all(arrivals) {
            match item {
                Err(error) => {
                    packer.send();
                    return Err(error);
                }
                Ok(item) if plan.padding == Padding::Longest => held_back.push(item),
                Ok(item) => packer.push(item),
            }
        }
        if caught_up {
            packer.send();
        }
    }
    pad_to_longest(plan.tokenizer, &mut held_back);
    for item in held_back {
        packer.push(item);
    }
    packer.send();
    Ok(())
}

impl Plan<'_> {
    /// The texts as tokens, in order.
    pub(crate) fn encode_all(self, arrivals: Vec<Arrival>) -> Vec<Result<Item>> {
        arrivals
            .into_par_iter()
            .map(|arrival| self.encode(arrival))
            .collect()
    }

    fn encode(self, arrival: Arrival) -> Result<Item> {
        let text = match arrival? {
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
        Ok(Ok(Tokenized { text, encoding }))
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
    pieces: Pieces,
    tokens: usize,
}

impl Packer<'_> {
    fn push(&mut self, item: Item) {
        let of = match item {
            Ok(tokenized) => Arc::new(tokenized),
            Err(bad) => return self.pieces.push(Err(bad)),
        };
        let Plan {
            max_length, stride, ..
        } = self.plan;
        for window in of.encoding.windows(max_length, stride) {
            let tokens = window.rows.len();
            if self.tokens + tokens > self.plan.batch_tokens {
                self.send();
            }
            self.tokens += tokens;
            let of = Arc::clone(&of);
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
