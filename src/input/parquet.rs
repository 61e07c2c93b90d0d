//! Rows of a parquet file as texts, read page by page.

use std::sync::Arc;

use anyhow::Context;
use parquet::basic::{LogicalType, Type as PhysicalType};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use parquet::schema::types::Type;

use super::columns::{ColumnNames, ColumnPlaces, in_column, json_string};
use super::source::InputFile;
use super::text::MAX_TEXT_BYTES;
use super::{Id, InputItem, Text, TextOrBad, lines, until_error, with_place};
use crate::error::{Classify, Error, Kind, Result};
use crate::guard;
use crate::hex::hex;

/// The rows of one file; a bad row does not affect the others.
pub(super) struct ParquetRows {
    rows: RowIter<'static>,
    file: InputFile,
    names: Arc<ColumnNames>,
    places: ColumnPlaces,
    /// Which of the columns that are read are UUIDs.
    uuids: Vec<bool>,
    /// Number of the row read last, from 1.
    row_number: u64,
}

impl ParquetRows {
    /// # Errors
    /// [`Kind::Input`] if it is not a parquet file; [`Kind::Usage`] if it is a stream, or if it
    /// lacks a column that is named.
    pub(super) fn open(file: InputFile, names: Arc<ColumnNames>) -> Result<Self> {
        let name = &file.name;
        if file.size_bytes.is_none() {
            let message = format!("a parquet file is read from its end: `{name}` is a stream");
            let error = Error::message(Kind::Usage, message);
            return Err(error.with_tip("name the file with --file"));
        }
        let what = || format!("could not read `{name}` as parquet");
        let opened = file.open()?;
        let reader = guarded(|| Ok(SerializedFileReader::new(opened)?));
        let reader = reader.with_context(what).kind(Kind::Input)?;
        let schema = reader.metadata().file_metadata().schema_descr_ptr();
        let columns = schema.root_schema().get_fields();
        let header = |columns: &[Arc<Type>]| -> Vec<String> {
            let names = columns.iter().map(|column| column.name());
            names.map(str::to_owned).collect()
        };
        // In all columns, so that a message can list them.
        let places = ColumnPlaces::find(&names, &header(columns), name, true)?;
        if let Some(place) = places.text
            && names.takes_text(places.words.is_some())
        {
            refuse_other_types(&columns[place], name)?;
        }
        // Only these are read.
        let is_used = |column: &&Arc<Type>| names.uses(column.name());
        let used: Vec<_> = columns.iter().filter(is_used).cloned().collect();
        let header = header(&used);
        let uuids = used.iter().map(|column| is_uuid(column)).collect();
        let batch_rows = batch_rows(reader.metadata(), |column| names.uses(column));
        let rows = guarded(|| {
            let projection = Type::group_type_builder(schema.root_schema().name());
            let projection = projection.with_fields(used).build()?;
            let rows = RowIter::from_file_into(Box::new(reader)).project(Some(projection))?;
            Ok(rows.with_batch_size(batch_rows))
        });
        let rows = rows.with_context(what).kind(Kind::Input)?;
        Ok(Self {
            places: ColumnPlaces::find(&names, &header, name, true)?,
            uuids,
            rows,
            file,
            names,
            row_number: 0,
        })
    }

    pub(super) fn items(mut self) -> impl Iterator<Item = Result<InputItem>> {
        until_error(move || self.next_item())
    }

    fn next_item(&mut self) -> Result<Option<InputItem>> {
        let rows = &mut self.rows;
        let row = guarded(|| Ok(rows.next().transpose()?));
        let what = || format!("could not read `{}` as parquet", self.file.name);
        let row = row.map_err(|cause| with_codec_tip(cause, what(), &self.file.name));
        let Some(row) = row? else {
            return Ok(None);
        };
        self.row_number += 1;
        let text = self.text(row);
        let (row, file) = (self.row_number, &self.file);
        let name = format_args!("row {row} of `{}`", file.name);
        let text = with_place(text, name, file.name_in_records.clone(), None);
        let size_bytes = text.as_ref().map_or(0, size_bytes);
        Ok(Some(InputItem {
            text,
            size_bytes,
            skipped: 0,
        }))
    }

    fn text(&self, row: Row) -> TextOrBad<Text> {
        let cells = row.into_columns().into_iter().zip(&self.uuids);
        let cells: Vec<_> = cells
            .map(|((_, cell), is_uuid)| if *is_uuid { uuid(cell) } else { cell })
            .collect();
        let not_null = |place: Option<usize>| {
            let cell = place.map(|place| &cells[place]);
            cell.filter(|cell| !matches!(cell, Field::Null))
        };
        let names = &self.names;
        let id = not_null(self.places.id).map(|cell| id(names.id(), cell));
        let id = names.asked_id(id);
        let text_is_null = self.places.text.is_some();
        let keep = names.keep.iter().zip(&self.places.keep);
        let kept =
            keep.map(|(name, &place)| json(&cells[place]).map_err(|cause| in_column(name, &cause)));
        let string = |place: Option<usize>, name: &str| {
            not_null(place).map(|cell| string(name, cell)).transpose()
        };
        Text::of_parts(id, names.kept(kept), || {
            let list = not_null(self.places.words);
            let place = self
                .places
                .text
                .filter(|_| names.takes_text(list.is_some()));
            let text = string(place, names.text())?;
            let list = list.filter(|cell| names.takes_words(text.is_some(), is_list(cell)));
            let list = list.map(|cell| words(names.words(), cell));
            let pair = string(self.places.pair, names.pair())?;
            Ok((names.first(text, list.transpose()?, text_is_null)?, pair))
        })
    }
}

/// How many rows of the used columns are read at once: those of 16 MiB, by the row group with the
/// largest average.
fn batch_rows(metadata: &ParquetMetaData, is_used: impl Fn(&str) -> bool) -> usize {
    /// The crate's own size, for small values.
    const MOST: u64 = 1024;
    let row_bytes = metadata.row_groups().iter().map(|group| {
        let columns = group.columns().iter();
        let used = columns.filter(|column| {
            column
                .column_path()
                .parts()
                .first()
                .is_some_and(|name| is_used(name))
        });
        let bytes: u64 = used
            .map(|column| column.uncompressed_size().max(0).cast_unsigned())
            .sum();
        bytes / group.num_rows().max(1).cast_unsigned()
    });
    let largest = row_bytes.max().unwrap_or(0).max(1);
    (MAX_TEXT_BYTES / largest).clamp(1, MOST) as usize
}

fn is_uuid(column: &Type) -> bool {
    column.get_basic_info().logical_type_ref() == Some(&LogicalType::Uuid)
}

/// The text of a UUID: its 16 bytes in hexadecimal, 8-4-4-4-12.
fn uuid(cell: Field) -> Field {
    let Field::Bytes(bytes) = &cell else {
        return cell;
    };
    let digits = hex(bytes.data());
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| digits.get(part));
    match parts.into_iter().collect::<Option<Vec<_>>>() {
        Some(parts) => Field::Str(parts.join("-")),
        None => cell,
    }
}

/// Refuses a column of texts that does not hold strings.
fn refuse_other_types(column: &Type, table: &str) -> Result<()> {
    if column.is_primitive() && column.get_physical_type() == PhysicalType::BYTE_ARRAY {
        return Ok(());
    }
    let name = column.name();
    let message = format!("the column `{name}` of `{table}` does not hold strings");
    let error = Error::message(Kind::Usage, message);
    Err(error.with_tip("name the column of the texts with --text-column"))
}

/// pyarrow rewrites a file with a compression that is not built in.
fn with_codec_tip(cause: anyhow::Error, what: String, name: &str) -> Error {
    let is_codec = cause.to_string().starts_with(CODEC);
    let error = Error::new(Kind::Input, cause).context(what);
    if !is_codec {
        return error;
    }
    error.with_tip(format!(
        "python -c \"import pyarrow.parquet as p; \
         p.write_table(p.read_table('{name}'), 'snappy.parquet')\""
    ))
}

const CODEC: &str = "it is compressed with ";

/// Runs `work` of the parquet crate, which panics on some damaged files: a panic becomes an error.
fn guarded<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let done = guard::guarded(work).unwrap_or_else(|| Err(anyhow::anyhow!("it is damaged")));
    done.map_err(|cause| {
        let words = cause.to_string();
        match words.split_once("Disabled feature at compile time: ") {
            Some((_, codec)) => {
                anyhow::anyhow!("{CODEC}{codec}, and only snappy, gzip and zstd are read")
            }
            None => cause,
        }
    })
}

fn string(name: &str, cell: &Field) -> std::result::Result<String, String> {
    match cell {
        Field::Str(text) => Ok(text.clone()),
        // Old writers do not mark bytes as text.
        Field::Bytes(bytes) => {
            lines::utf_8(bytes.data().to_vec()).map_err(|cause| in_column(name, &cause))
        }
        _ => Err(format!("its `{name}` is not a string")),
    }
}

fn is_list(cell: &Field) -> bool {
    let is_string = |cell: &Field| matches!(cell, Field::Str(_) | Field::Bytes(_));
    matches!(cell, Field::ListInternal(list) if list.elements().iter().all(is_string))
}

fn words(name: &str, cell: &Field) -> std::result::Result<Vec<String>, String> {
    let Field::ListInternal(list) = cell else {
        return Err(format!("its `{name}` is not a list of strings"));
    };
    let words = list.elements().iter();
    words.map(|word| string(name, word)).collect()
}

/// An id is a string or a whole number, which pandas stores as a float if one of them is missing.
fn id(name: &str, cell: &Field) -> std::result::Result<Id, String> {
    match cell {
        Field::Byte(_)
        | Field::Short(_)
        | Field::Int(_)
        | Field::Long(_)
        | Field::UByte(_)
        | Field::UShort(_)
        | Field::UInt(_)
        | Field::ULong(_) => Ok(Id::Number(cell.to_string())),
        Field::Float(number) if number.fract() == 0.0 => Ok(Id::Number(format!("{number:.0}"))),
        Field::Double(number) if number.fract() == 0.0 => Ok(Id::Number(format!("{number:.0}"))),
        Field::Str(_) | Field::Bytes(_) => string(name, cell).map(Id::String),
        _ => Err(format!(
            "its `{name}` is neither a string nor a whole number"
        )),
    }
}

/// The cell as JSON: dates and times as text, numbers that are not finite as null.
///
/// # Errors
/// If it holds bytes that are not text.
fn json(cell: &Field) -> std::result::Result<String, String> {
    let number = |number: f64| serde_json::Value::from(number).to_string();
    Ok(match cell {
        Field::Null => "null".to_owned(),
        Field::Bool(_)
        | Field::Byte(_)
        | Field::Short(_)
        | Field::Int(_)
        | Field::Long(_)
        | Field::UByte(_)
        | Field::UShort(_)
        | Field::UInt(_)
        | Field::ULong(_) => cell.to_string(),
        Field::Float16(value) => number(f64::from(*value)),
        // The shortest number that reads back to the same f32.
        Field::Float(value) => serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned()),
        Field::Double(value) => number(*value),
        Field::Str(text) => json_string(text),
        Field::Bytes(bytes) => json_string(&lines::utf_8(bytes.data().to_vec())?),
        Field::ListInternal(list) => {
            let elements: std::result::Result<Vec<_>, _> =
                list.elements().iter().map(json).collect();
            format!("[{}]", elements?.join(","))
        }
        Field::Group(row) => {
            let entry = |(name, cell): (&String, &Field)| {
                json(cell).map(|value| format!("{}:{value}", json_string(name)))
            };
            let entries = row.get_column_iter().map(entry);
            let entries = entries.collect::<std::result::Result<Vec<_>, _>>()?;
            format!("{{{}}}", entries.join(","))
        }
        Field::Decimal(_)
        | Field::Date(_)
        | Field::TimeMillis(_)
        | Field::TimeMicros(_)
        | Field::TimestampMillis(_)
        | Field::TimestampMicros(_)
        | Field::MapInternal(_) => as_text(cell),
    })
}

/// Prints the cell as the parquet crate does, which panics on dates beyond the calendar.
fn as_text(cell: &Field) -> String {
    guarded(|| Ok(json_string(&cell.to_string()))).unwrap_or_else(|_| "null".to_owned())
}

fn size_bytes(text: &Text) -> u64 {
    let first = match &text.first {
        super::Segment::Text(text) => text.len(),
        super::Segment::Words(words) => words.iter().map(String::len).sum(),
    };
    (first + text.pair.as_ref().map_or(0, String::len)) as u64
}
