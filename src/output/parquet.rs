//! One row per text with list columns: Apache Parquet, for `DuckDB`, Polars, pandas and Spark.
//!
//! A row group stores one column after another, so records first go to a log. The file is assembled
//! from the log one row group at a time, in bounded memory. Every column may be null: a bad record
//! has only its index and its `error`. `schema.rs` has the columns of a field, `cell.rs` what a
//! record adds to each, `column.rs` how lists become levels.
//!
//! A vector is a plain list. Parquet has no list of a fixed size; Arrow also writes a list, and
//! marks it in metadata that describes every column. pyarrow 26 and Polars 2.1 read that, `DuckDB`
//! 2.0 does not: it needs `embedding::FLOAT[384]` for `array_cosine_similarity` either way, and
//! `list_cosine_similarity` takes the list. So it is not worth Arrow's crates.

mod cell;
mod column;
mod schema;

use std::io::{ErrorKind, Read, Seek, Write};
use std::sync::Arc;

use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;

use super::{Assembly, Context, Log, RecordWriter};
use crate::error::{Classify, Kind, Result};
use crate::record::RecordOrBad;
use cell::Cell;
use column::Column;

/// Bytes of values and levels buffered per row group; encoding it needs about as much again.
const ROW_GROUP_BYTES: usize = 32 << 20;

/// Writes rows to the log: the size in bytes, then the cells.
pub(super) struct Parquet<'a>(pub(super) Context<'a>);

impl RecordWriter for Parquet<'_> {
    fn write(&mut self, records: &[RecordOrBad], to: &mut dyn Write) -> Result<()> {
        for record in records {
            let row = cell::row(record, self.0, schema::columns).kind(Kind::Output)?;
            let row = postcard::to_stdvec(&row).kind(Kind::Internal)?;
            let size_bytes = (row.len() as u64).to_le_bytes();
            to.write_all(&size_bytes)
                .and_then(|()| to.write_all(&row))
                .kind(Kind::Output)?;
        }
        Ok(())
    }

    fn assembly(&self) -> Option<&dyn Assembly> {
        Some(self)
    }
}

impl Assembly for Parquet<'_> {
    fn assemble(&self, log: &mut Log, to: &mut dyn Write) -> Result<()> {
        log.rewind().kind(Kind::Output)?;
        let mut file = File::new(&self.0)?;
        let mut bytes = Vec::new();
        while read_row(log, &mut bytes).kind(Kind::Output)? {
            let row: Vec<Cell> = postcard::from_bytes(&bytes).kind(Kind::Internal)?;
            for (column, cell) in file.columns.iter_mut().zip(&row) {
                column.push(cell);
            }
            if file.waiting_bytes() >= ROW_GROUP_BYTES {
                file.write_row_group(to)?;
            }
        }
        file.finish(to)
    }
}

/// Reads the next row into `bytes`; false at the end of the log.
fn read_row(log: &mut Log, bytes: &mut Vec<u8>) -> std::io::Result<bool> {
    let mut size_bytes = [0; 8];
    match log.read_exact(&mut size_bytes) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(false),
        other => other?,
    }
    let size_bytes = u64::from_le_bytes(size_bytes);
    bytes.clear();
    let read = log.take(size_bytes).read_to_end(bytes)?;
    if (read as u64) < size_bytes {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(true)
}

struct File {
    /// Bytes wait in its buffer until the destination takes them.
    writer: SerializedFileWriter<Vec<u8>>,
    /// The columns of each field, then `error`.
    columns: Vec<Column>,
}

impl File {
    fn new(context: &Context) -> Result<Self> {
        let schema = schema::message(context).kind(Kind::Internal)?;
        let properties = Arc::new(properties(context));
        let writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), properties);
        let columns = context.fields.iter().map(|&field| schema::columns(field));
        Ok(Self {
            writer: writer.kind(Kind::Internal)?,
            columns: (0..=columns.sum::<usize>())
                .map(|_| Column::default())
                .collect(),
        })
    }

    fn waiting_bytes(&self) -> usize {
        self.columns.iter().map(Column::size_bytes).sum()
    }

    fn write_row_group(&mut self, to: &mut dyn Write) -> Result<()> {
        write_columns(&mut self.writer, &mut self.columns).kind(Kind::Internal)?;
        self.drain(to)
    }

    /// Passes the bytes written so far to the destination.
    fn drain(&mut self, to: &mut dyn Write) -> Result<()> {
        self.writer.flush().kind(Kind::Internal)?;
        let bytes = self.writer.inner_mut();
        to.write_all(bytes).kind(Kind::Output)?;
        bytes.clear();
        Ok(())
    }

    fn finish(mut self, to: &mut dyn Write) -> Result<()> {
        if self.waiting_bytes() > 0 {
            self.write_row_group(to)?;
        }
        self.writer.finish().kind(Kind::Internal)?;
        self.drain(to)
    }
}

fn properties(context: &Context) -> WriterProperties {
    let mut metadata = vec![KeyValue::new("model".to_owned(), context.model.to_owned())];
    if let Some(commit) = context.commit {
        metadata.push(KeyValue::new("revision".to_owned(), commit.to_owned()));
    }
    for (name, value) in context.options {
        metadata.push(KeyValue::new(name.clone(), value.clone()));
    }
    WriterProperties::builder()
        .set_created_by(concat!("bert-embed version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_key_value_metadata(Some(metadata))
        // Vectors hardly ever repeat a value, and their minimum is of no use.
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .build()
}

/// Writes `columns` as a row group and empties them.
fn write_columns(
    file: &mut SerializedFileWriter<Vec<u8>>,
    columns: &mut [Column],
) -> ParquetResult<()> {
    let mut group = file.next_row_group()?;
    for column in columns {
        if let Some(mut writer) = group.next_column()? {
            column.write(writer.untyped())?;
            writer.close()?;
        }
        column.clear();
    }
    group.close()?;
    Ok(())
}
