//! Texts → batches for the encoder: tokenized in parallel, packed by a token budget, in order.
//!
//! Owns the reading ahead and the padding to the longest. A batch holds neighbours in input order:
//! the encoder does no work on padding, so sorting by tokens would gain nothing. Whatever has
//! arrived becomes a batch; which texts share one changes no bit of their vectors.

use std::sync::mpsc::{Receiver, SyncSender};

use rayon::prelude::*;

use crate::cli::{OnLong, Padding};
use crate::error::Result;
use crate::input::{BadText, Text, Texts};
use crate::tokenize::{Detail, Encoding, Tokenizer};

/// One text as it was read: good, bad, or the error that ends the input.
pub type Arrival = Result<std::result::Result<Text, BadText>>;

/// One text on its way to the encoder, good or bad.
pub type Item = std::result::Result<(Text, Encoding), BadText>;

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
    /// How far records are filled up.
    pub padding: Padding,
    /// Tokens of a batch at most, but one text always fits.
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
pub fn prepare(plan: Plan, from: &Receiver<Arrival>, to: &SyncSender<Vec<Item>>) -> Result<()> {
    let mut packer = Packer {
        to,
        batch_tokens: plan.batch_tokens,
        items: Vec::new(),
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
    fn encode_all(self, arrivals: Vec<Arrival>) -> Vec<Result<Item>> {
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
        let mut encoding = self.tokenizer.encode(&text, self.max_length, self.detail)?;
        if self.on_long == OnLong::Error && encoding.dropped_tokens > 0 {
            let tokens = encoding.tokens() + encoding.dropped_tokens;
            let allowed = self.max_length;
            let message = format!("the text has {tokens} tokens: at most {allowed} are allowed");
            return Ok(Err(BadText { message }));
        }
        if self.padding == Padding::MaxLength {
            self.tokenizer.pad(&mut encoding, self.max_length);
        }
        Ok(Ok((text, encoding)))
    }
}

fn pad_to_longest(tokenizer: &Tokenizer, items: &mut [Item]) {
    let lengths = items
        .iter()
        .flatten()
        .map(|(_, encoding)| encoding.tokens());
    let longest = lengths.max().unwrap_or(0);
    items
        .iter_mut()
        .flatten()
        .for_each(|(_, encoding)| tokenizer.pad(encoding, longest));
}

/// Collects items up to a token budget.
struct Packer<'a> {
    to: &'a SyncSender<Vec<Item>>,
    batch_tokens: usize,
    items: Vec<Item>,
    tokens: usize,
}

impl Packer<'_> {
    fn push(&mut self, item: Item) {
        let tokens = item.as_ref().map_or(0, |(_, encoding)| encoding.tokens());
        if self.tokens + tokens > self.batch_tokens {
            self.send();
        }
        self.tokens += tokens;
        self.items.push(item);
    }

    /// Sends what is there. Where nobody takes batches any more the run has failed elsewhere, and
    /// its reason is told there.
    fn send(&mut self) {
        self.tokens = 0;
        if !self.items.is_empty() {
            let _ = self.to.send(std::mem::take(&mut self.items));
        }
    }
}
