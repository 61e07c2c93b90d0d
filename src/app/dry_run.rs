//! `--dry-run`: counts texts, errors and tokens, and computes the size of the output, without an
//! encoder. `report.rs` prints the report.
//!
//! Memory grows with the number of different token counts, not with the input.

mod report;

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::app::request::Request;
use crate::error::Result;
use crate::input::Texts;
use crate::output::{Context, JsonLines, Measured};
use crate::pipeline::{self, Plan, TextTokenizer};
use crate::record::{Field, Record, RecordOrBad, TokenizedText, Totals};
use crate::tokenize::{OnLong, Padding, TokenOptions, word_count};
pub(crate) use report::Report;

/// What is known about the texts after tokenizing all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Texts read, bad ones included.
    pub(crate) records: u64,
    /// The number of texts whose record would be an error.
    pub(crate) errors: u64,
    /// The first error, with the text's place.
    pub(crate) first_error: Option<String>,
    /// How many texts have each number of tokens, with special tokens, before truncation.
    pub(crate) texts_by_tokens: BTreeMap<usize, u64>,
    /// The number of texts with more tokens than `--max-length`.
    pub(crate) too_long: u64,
    pub(crate) dropped_tokens: u64,
    /// What the size of the output depends on: tokens in two windows count once, and tokens that
    /// `--padding max-length` adds count too.
    pub(crate) measured: Measured,
}

/// Reads and tokenizes `texts` as a run would.
///
/// # Errors
/// If reading or tokenizing fails. A single bad text is only counted.
pub(crate) fn measure<'a>(
    texts: Texts,
    plan: Plan,
    context: Context<'a>,
    request: &'a Request,
) -> Result<Report<'a>> {
    let lines = JsonLines(context);
    // A text that is too long is an error, but its tokens count.
    let options = TokenOptions {
        on_long: match request.tokens.on_long {
            OnLong::Error => OnLong::Truncate,
            other => other,
        },
        ..request.tokens
    };
    let tokenizer = TextTokenizer {
        options: &options,
        ..plan.tokenizer
    };
    let plan = Plan { tokenizer, ..plan };
    let mut counts = Counts::default();
    pipeline::tokenize_only(plan, texts, |texts| {
        let texts = texts.into_iter();
        let records: Vec<_> = texts
            .map(|text| text.map(Record::without_vectors))
            .collect();
        let bytes = line_bytes(&lines, &records)?;
        for (record, bytes) in records.iter().zip(bytes) {
            counts.add(record, bytes, request);
        }
        Ok(())
    })?;
    if request.tokens.padding == Padding::Longest {
        counts.measured = counts.measured.padded_to_longest();
    }
    Ok(Report::new(counts, request, context))
}

/// The size of each text's JSON line without its vectors.
fn line_bytes(lines: &JsonLines, records: &[RecordOrBad]) -> Result<Vec<usize>> {
    let bytes = || {
        records
            .par_iter()
            .map(|record| lines.line_bytes(record))
            .collect()
    };
    lines.0.threads.install(bytes)
}

impl Counts {
    fn add_error(&mut self, message: impl FnOnce() -> String) {
        self.errors += 1;
        self.first_error.get_or_insert_with(message);
    }

    fn add(&mut self, record: &RecordOrBad, json_bytes: usize, request: &Request) {
        self.records += 1;
        self.measured.json_bytes += json_bytes as u64;
        let TokenizedText { text, encoding } = match record {
            Ok(record) => &*record.text,
            Err(bad) => return self.add_error(|| bad.to_string()),
        };
        let tokens = encoding.attended + encoding.dropped_tokens;
        *self.texts_by_tokens.entry(tokens).or_default() += 1;
        if tokens > request.tokens.max_length {
            self.too_long += 1;
            if request.tokens.on_long == OnLong::Error {
                let (index, allowed) = (text.place.index, request.tokens.max_length);
                return self.add_error(|| {
                    format!(
                        "text {index}: the text has {tokens} tokens: at most {allowed} are allowed"
                    )
                });
            }
        }
        self.dropped_tokens += encoding.dropped_tokens as u64;
        let tokens = encoding.tokens() as u64;
        let words = if request.options.fields.contains(&Field::Words) {
            word_count(text, encoding) as u64
        } else {
            0
        };
        let id = request
            .options
            .fields
            .contains(&Field::Id)
            .then_some(&text.id);
        let id_bytes = id.and_then(|id| id.as_ref().map(|id| id.as_str().len()));
        self.measured.id_bytes += id_bytes.unwrap_or_default() as u64;
        self.measured.totals.add(&Totals::of_text(tokens, words));
        self.measured.longest_record = self.measured.longest_record.max(tokens);
    }
}
