//! JSON Lines: one object per text, one per line.

use std::io::Write;

use rayon::prelude::*;

use super::{Context, RecordWriter};
use crate::error::{Classify, Kind, Result};
use crate::record::RecordOrBad;

pub(crate) struct JsonLines<'a>(pub(crate) Context<'a>);

impl JsonLines<'_> {
    fn line(&self, record: &RecordOrBad) -> serde_json::Result<Vec<u8>> {
        let mut line = Vec::new();
        match record {
            Ok(record) => {
                let Context {
                    fields, tokenizer, ..
                } = self.0;
                serde_json::to_writer(&mut line, &record.selected(fields, tokenizer))?;
            }
            Err(bad) => serde_json::to_writer(&mut line, bad)?,
        }
        line.push(b'\n');
        Ok(line)
    }

    pub(crate) fn line_bytes(&self, record: &RecordOrBad) -> Result<usize> {
        let line = self.line(record).kind(Kind::Internal)?;
        Ok(line.len())
    }
}

impl RecordWriter for JsonLines<'_> {
    /// Formats lines in parallel and writes them in order.
    fn write(&mut self, records: &[RecordOrBad], to: &mut dyn Write) -> Result<()> {
        let lines = || records.par_iter().map(|record| self.line(record)).collect();
        let lines: serde_json::Result<Vec<_>> = self.0.threads.install(lines);
        for line in lines.kind(Kind::Internal)? {
            to.write_all(&line).kind(Kind::Output)?;
        }
        Ok(())
    }
}
