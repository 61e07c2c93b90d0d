//! What a run would do, without an encoder: texts, errors, tokens, and the size of the output.
//!
//! Owns the counts; memory grows with the number of different token counts, not with the input.
//! The words and numbers of the report are in `report.rs`, the sizes in `size.rs`.

mod report;
mod size;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;

use rayon::prelude::*;

use crate::app::request::Request;
use crate::error::Result;
use crate::input::Texts;
use crate::output::{Context, JsonLines};
use crate::pipeline::batch::{Item, Plan, Tokenized};
use crate::pipeline::read::{self, TEXTS_AHEAD};
use crate::record::Field;
use crate::record::{BadRecord, Record};
use crate::tokenize::Encoding;
use crate::tokenize::{OnLong, Padding};
pub use report::Report;
pub use size::Sizes;

/// What is known of the texts when all are tokenized.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Texts read, bad ones included.
    pub records: u64,
    /// Texts whose record would be an error.
    pub errors: u64,
    /// How many texts have so many tokens, special ones included, before anything is cut.
    pub texts_by_tokens: BTreeMap<usize, u64>,
    /// Texts of more tokens than `--max-length`.
    pub too_long: u64,
    /// Tokens that would be cut away.
    pub dropped_tokens: u64,
    /// Tokens of the records, those of windows once and `[PAD]` of `--padding max-length` included.
    pub rows: u64,
    /// Tokens of the longest record.
    pub longest_record: u64,
    /// Words with a vector.
    pub words: u64,
    /// Bytes of the JSON lines without any vector.
    pub json_bytes: u64,
}

impl Counts {
    /// Good texts.
    #[must_use]
    pub fn texts(&self) -> u64 {
        self.records - self.errors
    }
}

/// Reads and tokenizes `texts` as a run would.
///
/// # Errors
/// Those of reading and tokenizing; a single bad text is counted.
pub fn measure(texts: Texts, plan: Plan, context: Context, request: &Request) -> Result<Report> {
    let (to_tokenizer, arrivals) = sync_channel(TEXTS_AHEAD);
    // Not joined: a read from a terminal or a pipe may never return.
    thread::spawn(move || read::read(texts, &to_tokenizer, &Arc::default()));
    let lines = JsonLines::new(context);
    // A text that is too long is an error with its tokens counted.
    let on_long = match plan.on_long {
        OnLong::Error => OnLong::Truncate,
        other => other,
    };
    let plan = Plan { on_long, ..plan };
    let mut counts = Counts::default();
    while let Ok(first) = arrivals.recv() {
        let chunk: Vec<_> = std::iter::once(first)
            .chain(arrivals.iter().take(TEXTS_AHEAD - 1))
            .collect();
        let items = plan
            .encode_all(chunk)
            .into_iter()
            .collect::<Result<Vec<_>>>()?;
        let bytes = line_bytes(&lines, &items, counts.records)?;
        for (item, bytes) in items.iter().zip(bytes) {
            counts.add(item, bytes, request);
        }
    }
    let sizes = Sizes::new(&counts, request.padding == Padding::Longest, &context);
    Ok(Report::new(counts, sizes, request, &context))
}

/// The bytes of each item's JSON line without any vector; the first one is text number `first`.
fn line_bytes(lines: &JsonLines, items: &[Item], first: u64) -> Result<Vec<usize>> {
    let bytes = |(place, item): (usize, &Item)| {
        let index = first + place as u64;
        let record = match item {
            Ok(Tokenized { text, encoding, .. }) => {
                Ok(Record::without_numbers(index, text, encoding))
            }
            Err(bad) => Err(BadRecord {
                index,
                message: bad.message.clone(),
            }),
        };
        lines.line_bytes(&record)
    };
    items.par_iter().enumerate().map(bytes).collect()
}

impl Counts {
    fn add(&mut self, item: &Item, json_bytes: usize, request: &Request) {
        self.records += 1;
        self.json_bytes += json_bytes as u64;
        let Ok(Tokenized { encoding, .. }) = item else {
            self.errors += 1;
            return;
        };
        let tokens = encoding.attended + encoding.dropped_tokens;
        *self.texts_by_tokens.entry(tokens).or_default() += 1;
        if tokens > request.max_length {
            self.too_long += 1;
            if request.on_long == OnLong::Error {
                self.errors += 1;
                return;
            }
        }
        self.dropped_tokens += encoding.dropped_tokens as u64;
        let rows = encoding.tokens() as u64;
        self.rows += rows;
        self.longest_record = self.longest_record.max(rows);
        if request.fields.contains(&Field::Words) {
            self.words += words(encoding);
        }
    }
}

/// The words that a record would have: runs of tokens with the same number in one segment.
fn words(encoding: &Encoding) -> u64 {
    let word = |place: usize| {
        let number = encoding.word_ids[place];
        number.map(|number| (number, encoding.token_type_ids[place]))
    };
    let begins =
        |&place: &usize| word(place).is_some() && (place == 0 || word(place) != word(place - 1));
    (0..encoding.word_ids.len()).filter(begins).count() as u64
}

/// What would happen to texts that are too long, as the report says it.
fn fate(on_long: OnLong) -> &'static str {
    match on_long {
        OnLong::Truncate => "truncated",
        OnLong::Window => "run as windows",
        OnLong::Error => "errors",
    }
}
