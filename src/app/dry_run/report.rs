//! The report of a dry run as aligned text or as one JSON object.

use std::io::{self, Write};

use serde_json::json;

use super::Counts;
use crate::app::request::Request;
use crate::error::{Classify, Kind, Result};
use crate::output::{Context, OutputFormat, Size};
use crate::tokenize::{OnLong, TokenOptions};

pub(crate) struct Report<'a> {
    counts: Counts,
    format: OutputFormat,
    size: Size,
    options: &'a TokenOptions,
    context: Context<'a>,
}

impl<'a> Report<'a> {
    pub(super) fn new(counts: Counts, request: &'a Request, context: Context<'a>) -> Self {
        Self {
            format: request.format,
            size: (request.format.spec().size)(&context, &counts.measured),
            counts,
            options: &request.tokens,
            context,
        }
    }

    /// The number of texts whose record would be an error.
    pub(crate) fn errors(&self) -> u64 {
        self.counts.errors
    }

    /// How many records would be errors, and the first of them.
    pub(crate) fn error_summary(&self) -> Option<String> {
        let Counts {
            records, errors, ..
        } = &self.counts;
        let first = self.counts.first_error.as_ref()?;
        Some(format!(
            "{errors} of {records} texts would be errors, the first: {first}"
        ))
    }

    /// Prints the report to `to`.
    ///
    /// # Errors
    /// [`Kind::Output`] if it cannot be written.
    pub(crate) fn print(&self, as_json: bool, to: &mut dyn Write) -> Result<()> {
        let printed = if as_json {
            writeln!(to, "{}", self.json())
        } else {
            self.text(to)
        };
        printed.and_then(|()| to.flush()).kind(Kind::Output)
    }

    fn json(&self) -> serde_json::Value {
        let counts = &self.counts;
        let (Size::Exact(size_bytes) | Size::Estimate(size_bytes)) = self.size;
        json!({
            "model": self.context.model,
            "revision": self.context.commit,
            "records": counts.records,
            "errors": counts.errors,
            "tokens": {
                "total": self.total_tokens(),
                "median": self.tokens_at(50),
                "percentile_95": self.tokens_at(95),
                "longest": self.longest_text(),
            },
            "max_length": self.options.max_length,
            "texts_too_long": counts.too_long,
            "dropped_tokens": counts.dropped_tokens,
            "format": self.format.name(),
            "size_bytes": size_bytes,
        })
    }

    fn text(&self, to: &mut dyn Write) -> io::Result<()> {
        let counts = &self.counts;
        let Context { model, commit, .. } = self.context;
        let commit = commit.map_or_else(String::new, |commit| format!(" at {commit}"));
        writeln!(to, "model        {model}{commit}")?;
        writeln!(to, "records      {}", counts.records)?;
        writeln!(to, "errors       {}", counts.errors)?;
        let (total, longest) = (self.total_tokens(), self.longest_text());
        let (median, percentile) = (self.tokens_at(50), self.tokens_at(95));
        writeln!(
            to,
            "tokens       {total} (per text: median {median}, \
             95th percentile {percentile}, longest {longest})"
        )?;
        let (too_long, max_length) = (counts.too_long, self.options.max_length);
        write!(to, "too long     {too_long} over {max_length} tokens")?;
        let fate = match self.options.on_long {
            OnLong::Truncate => "truncated",
            OnLong::Window => "run as windows",
            OnLong::Error => "errors",
        };
        match (too_long, counts.dropped_tokens) {
            (0, _) => writeln!(to)?,
            (_, 0) => writeln!(to, ": {fate}")?,
            (_, dropped) => writeln!(to, ": {fate}, tokens dropped: {dropped}")?,
        }
        let (bytes, kind) = match self.size {
            Size::Exact(bytes) => (bytes, "exact"),
            Size::Estimate(bytes) => (bytes, "estimated"),
        };
        let (name, rounded) = (self.format.name(), rounded(bytes));
        writeln!(to, "{name:<11}  {bytes} bytes, {rounded} ({kind})")
    }

    fn total_tokens(&self) -> u64 {
        let texts_by_tokens = self.counts.texts_by_tokens.iter();
        texts_by_tokens
            .map(|(&tokens, texts)| tokens as u64 * texts)
            .sum()
    }

    fn longest_text(&self) -> usize {
        let last = self.counts.texts_by_tokens.last_key_value();
        last.map_or(0, |(&tokens, _)| tokens)
    }

    /// The smallest number of tokens that `percent` of the texts do not exceed.
    fn tokens_at(&self, percent: u64) -> usize {
        let texts: u64 = self.counts.texts_by_tokens.values().sum();
        let rank = (texts * percent).div_ceil(100);
        let mut seen = 0;
        for (&tokens, texts) in &self.counts.texts_by_tokens {
            seen += texts;
            if seen >= rank {
                return tokens;
            }
        }
        0
    }
}

/// `bytes` in the largest unit in which it is at least 1.
fn rounded(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut amount = bytes as f64 / 1024.0;
    let mut unit = 0;
    while amount >= 1000.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    format!("{amount:.1} {}", UNITS[unit])
}
