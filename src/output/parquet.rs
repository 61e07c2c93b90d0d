//! A row a text with list columns: Apache Parquet, for `DuckDB`, Polars, pandas and Spark.
//!
//! Owns the row groups: records are collected until they fill one, so memory stays bounded. Every
//! column may be null, for a text that is an error has nothing but its index and its `error`.
//! Which columns a field has is in [`schema`], how lists become levels in [`column`].

mod column;
mod schema;

use std::io::Write;
use std::sync::Arc;

use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;

use super::{BadRecord, Context, Format, Record};
use crate::error::{Classify, Kind, Result};
use column::Column;

/// Bytes of values and levels that make a row group; as much again is taken while it is written.
const ROW_GROUP_BYTES: usize = 64 << 20;

/// Collects records as columns.
pub struct Parquet<'a> {
    context: Context<'a>,
    /// What is written waits here until the destination is at hand.
    file: SerializedFileWriter<Vec<u8>>,
    /// The columns of each field, then of `error`.
    columns: Vec<Vec<Column>>,
}

impl<'a> Parquet<'a> {
    /// A file with the fields of `context` and the column `error`.
    ///
    /// # Errors
    /// [`Kind::Internal`] where the fields make no schema, which none are known to do.
    pub fn new(context: Context<'a>) -> Result<Self> {
        let schema = schema::message(&context).kind(Kind::Internal)?;
        let properties = Arc::new(properties(&context));
        let file = SerializedFileWriter::new(Vec::new(), Arc::new(schema), properties);
        let counts = context.fields.iter().map(|&field| schema::columns(field));
        let column = |count| (0..count).map(|_| Column::default()).collect();
        Ok(Self {
            context,
            file: file.kind(Kind::Internal)?,
            columns: counts.chain([1]).map(column).collect(),
        })
    }

    fn push(&mut self, record: &std::result::Result<Record, BadRecord>) {
        let Some((error, columns)) = self.columns.split_last_mut() else {
            return;
        };
        for (columns, &field) in columns.iter_mut().zip(self.context.fields) {
            match record {
                Ok(record) => column::push(columns, record.value(field, self.context)),
                Err(bad) => column::push_bad(columns, field, bad),
            }
        }
        match record {
            Ok(_) => error[0].push_null(),
            Err(bad) => error[0].push_text(&bad.message),
        }
    }

    fn write_row_group(&mut self, to: &mut dyn Write) -> Result<()> {
        write_columns(&mut self.file, &mut self.columns).kind(Kind::Internal)?;
        self.drain(to)
    }

    /// Hands on what the file's writer has written.
    fn drain(&mut self, to: &mut dyn Write) -> Result<()> {
        self.file.flush().kind(Kind::Internal)?;
        let bytes = self.file.inner_mut();
        to.write_all(bytes).kind(Kind::Output)?;
        bytes.clear();
        Ok(())
    }
}

fn properties(context: &Context) -> WriterProperties {
    let mut metadata = vec![KeyValue::new("model".to_owned(), context.model.to_owned())];
    if let Some(commit) = context.commit {
        metadata.push(KeyValue::new("revision".to_owned(), commit.to_owned()));
    }
    for (name, value) in context.options {
        metadata.push(KeyValue::new((*name).to_owned(), value.clone()));
    }
    WriterProperties::builder()
        .set_created_by(concat!("bert-embed version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_key_value_metadata(Some(metadata))
        // Vectors have no value twice, and nobody asks for their smallest.
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .build()
}

/// Writes one row group of what `columns` hold, and empties them.
fn write_columns(
    file: &mut SerializedFileWriter<Vec<u8>>,
    columns: &mut [Vec<Column>],
) -> ParquetResult<()> {
    let mut group = file.next_row_group()?;
    for column in columns.iter_mut().flatten() {
        if let Some(mut writer) = group.next_column()? {
            column.write(writer.untyped())?;
            writer.close()?;
        }
        column.clear();
    }
    group.close()?;
    Ok(())
}

impl Format for Parquet<'_> {
    fn write(
        &mut self,
        records: &[std::result::Result<Record, BadRecord>],
        to: &mut dyn Write,
    ) -> Result<()> {
        for record in records {
            self.push(record);
            let bytes: usize = self.columns.iter().flatten().map(Column::size_bytes).sum();
            if bytes >= ROW_GROUP_BYTES {
                self.write_row_group(to)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, to: &mut dyn Write) -> Result<()> {
        if self
            .columns
            .iter()
            .flatten()
            .any(|column| column.size_bytes() > 0)
        {
            self.write_row_group(to)?;
        }
        self.file.finish().kind(Kind::Internal)?;
        self.drain(to)
    }
}
