//! The report of a dry run as aligned text or as one JSON object.

use std::io::{self, Write};

use serde_json::json;

use super::size::{JSON_NUMBER_TENTHS, vector_field};
use super::{Counts, Sizes, fate};
use crate::app::request::Request;
use crate::error::{Classify, Kind, Result};
use crate::output::Context;
use crate::record::Field;
use crate::tokenize::OnLong;

/// What a dry run has found.
pub(crate) struct Report {
    counts: Counts,
    sizes: Sizes,
    max_length: usize,
    on_long: OnLong,
    model: String,
    commit: Option<String>,
    vector_field: Option<Field>,
}

impl Report {
    pub(super) fn new(counts: Counts, sizes: Sizes, request: &Request, context: &Context) -> Self {
        Self {
            counts,
            sizes,
            max_length: request.tokens.max_length,
            on_long: request.tokens.on_long,
            model: context.model.to_owned(),
            commit: context.commit.map(str::to_owned),
            vector_field: vector_field(context),
        }
    }

    /// Texts whose record would be an error.
    #[must_use]
    pub(crate) fn errors(&self) -> u64 {
        self.counts.errors
    }

    /// Prints the report to `to`.
    ///
    /// # Errors
    /// [`Kind::Output`] where it cannot be written.
    pub(crate) fn print(&self, as_json: bool, to: &mut dyn Write) -> Result<()> {
        let printed = if as_json {
            writeln!(to, "{}", self.json())
        } else {
            self.text(to)
        };
        printed.and_then(|()| to.flush()).kind(Kind::Output)
    }

    fn json(&self) -> serde_json::Value {
        let (counts, sizes) = (&self.counts, &self.sizes);
        json!({
            "model": self.model,
            "revision": self.commit,
            "records": counts.records,
            "errors": counts.errors,
            "tokens": {
                "total": self.total_tokens(),
                "median": self.tokens_at(50),
                "percentile_95": self.tokens_at(95),
                "longest": self.longest_text(),
            },
            "max_length": self.max_length,
            "texts_too_long": counts.too_long,
            "dropped_tokens": counts.dropped_tokens,
            "size_bytes": {
                "jsonl": sizes.jsonl,
                "json": sizes.json,
                "npy": sizes.npy,
                "safetensors": sizes.safetensors,
                "parquet": sizes.parquet,
            },
        })
    }

    fn text(&self, to: &mut dyn Write) -> io::Result<()> {
        let (counts, sizes) = (&self.counts, &self.sizes);
        let commit = self.commit.as_ref();
        let commit = commit.map_or_else(String::new, |commit| format!(" at {commit}"));
        writeln!(to, "model        {}{commit}", self.model)?;
        writeln!(to, "records      {}", counts.records)?;
        writeln!(to, "errors       {}", counts.errors)?;
        let (total, longest) = (self.total_tokens(), self.longest_text());
        let (median, percentile) = (self.tokens_at(50), self.tokens_at(95));
        writeln!(
            to,
            "tokens       {total} (a text: median {median}, 95th percentile {percentile}, longest {longest})"
        )?;
        let (too_long, max_length) = (counts.too_long, self.max_length);
        write!(to, "too long     {too_long} over {max_length} tokens")?;
        match (too_long, counts.dropped_tokens) {
            (0, _) => writeln!(to)?,
            (_, 0) => writeln!(to, ": {}", fate(self.on_long))?,
            (_, dropped) => writeln!(to, ": {}, tokens dropped: {dropped}", fate(self.on_long))?,
        }
        let (bytes, tenths) = (JSON_NUMBER_TENTHS / 10, JSON_NUMBER_TENTHS % 10);
        let estimated = format!("estimated at {bytes}.{tenths} bytes a number");
        size(to, "jsonl", sizes.jsonl, &estimated)?;
        size(to, "json", sizes.json, &estimated)?;
        match (sizes.npy, self.vector_field) {
            (Some(bytes), Some(field)) => {
                size(to, "npy", bytes, &format!("{} only", field.name()))?;
            }
            _ => writeln!(to, "npy          needs pooler_output or embedding")?,
        }
        size(to, "safetensors", sizes.safetensors, "numeric fields only")?;
        size(
            to,
            "parquet",
            sizes.parquet,
            "estimated at 4 bytes a number",
        )
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

    /// The least number of tokens that so many in a hundred texts do not exceed.
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

/// One line: the form, its bytes, the same for the eye, a remark.
fn size(to: &mut dyn Write, form: &str, bytes: u64, remark: &str) -> io::Result<()> {
    writeln!(
        to,
        "{form:<11}  {bytes} bytes, {} ({remark})",
        rounded(bytes)
    )
}

/// `bytes` in the largest unit that leaves a number before the point.
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
