//! One JSON document for the whole input, with the batch tensors of transformers.
//!
//! All records are kept until the end, because a tensor of the document needs every text. The texts
//! are already padded to the longest.

use std::io::{self, Write};

use super::{Context, RecordWriter};
use crate::error::{Classify, Kind, Result};
use crate::record::{Record, RecordOrBad, Source};

/// Collects the fields of every record as JSON text.
pub(super) struct Document<'a> {
    context: Context<'a>,
    /// The values of each field, one per record; `None` if the record lacks it.
    columns: Vec<Vec<Option<String>>>,
    errors: Vec<Option<String>>,
}

impl<'a> Document<'a> {
    pub(super) fn new(context: Context<'a>) -> Self {
        let columns = context.fields.iter().map(|_| Vec::new()).collect();
        Self {
            context,
            columns,
            errors: Vec::new(),
        }
    }

    fn push(&mut self, record: &Record) -> serde_json::Result<()> {
        for (column, &field) in self.columns.iter_mut().zip(self.context.fields) {
            let value = record.value(field, self.context.tokenizer);
            let json = value.map(|value| serde_json::to_string(&value));
            column.push(json.transpose()?);
        }
        Ok(())
    }

    fn print(&self, to: &mut dyn Write) -> io::Result<()> {
        let model = serde_json::to_string(self.context.model)?;
        let revision = serde_json::to_string(&self.context.commit)?;
        write!(to, "{{\"model\":{model},\"revision\":{revision}")?;
        for (column, &field) in self.columns.iter().zip(self.context.fields) {
            let optional = field.spec().source == Source::InputIfAny;
            if !optional || column.iter().any(Option::is_some) {
                print_list(field.name(), column, to)?;
            }
        }
        if !self.errors.is_empty() {
            print_list("errors", &self.errors, to)?;
        }
        to.write_all(b"}\n")
    }
}

/// `,"name":[value,…]` with null for missing values.
fn print_list(name: &str, values: &[Option<String>], to: &mut dyn Write) -> io::Result<()> {
    write!(to, ",\"{name}\":[")?;
    for (place, value) in values.iter().enumerate() {
        to.write_all(if place > 0 { b"," } else { b"" })?;
        to.write_all(value.as_deref().unwrap_or("null").as_bytes())?;
    }
    to.write_all(b"]")
}

impl RecordWriter for Document<'_> {
    fn write(&mut self, records: &[RecordOrBad], _to: &mut dyn Write) -> Result<()> {
        for record in records {
            match record {
                Ok(record) => self.push(record).kind(Kind::Internal)?,
                Err(bad) => self
                    .errors
                    .push(Some(serde_json::to_string(bad).kind(Kind::Internal)?)),
            }
        }
        Ok(())
    }

    fn finish(&mut self, to: &mut dyn Write) -> Result<()> {
        self.print(to).kind(Kind::Output)
    }
}
