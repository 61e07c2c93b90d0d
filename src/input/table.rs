//! Rows of a csv or tsv table as texts, in bounded memory.
//!
//! The first row is the header. Quotes follow RFC 4180 and Python's csv module, in tsv too: a
//! quoted cell may hold separators, line ends and doubled quotes. Empty lines are skipped.

use std::io::{self, BufRead};
use std::sync::Arc;

use csv_core::ReadRecordResult;

use super::columns::{ColumnNames, ColumnPlaces, in_column, json_string};
use super::lines::{self, MAX_SKIPPED_BYTES, MAX_TEXT_BYTES};
use super::source::{TextReader, could_not_read};
use super::{BadText, Id, InputItem, Text, TextOrBad, until_error, with_place};
use crate::error::{Error, Kind, Result};

/// The rows of one table, each good or bad by itself.
pub(super) struct Table {
    rows: Rows,
    columns: TableColumns,
}

impl Table {
    /// # Errors
    /// [`Kind::Input`] if it has no header; [`Kind::Usage`] if it lacks a column that is named.
    pub(super) fn new(source: TextReader, separator: u8, names: Arc<ColumnNames>) -> Result<Self> {
        let mut rows = Rows {
            source,
            parser: csv_core::ReaderBuilder::new().delimiter(separator).build(),
            line_number: 1,
            cells: vec![0; 1 << 12],
            ends: vec![0; 64],
        };
        let header = header(rows.next_row()?).map_err(|cause| {
            Error::message(Kind::Input, cause).context(could_not_read(rows.source.name()))
        })?;
        let columns = TableColumns {
            places: ColumnPlaces::find(&names, &header, rows.source.name(), false)?,
            names,
            count: header.len(),
        };
        Ok(Self { rows, columns })
    }

    pub(super) fn items(mut self) -> impl Iterator<Item = Result<InputItem>> {
        until_error(move || self.next_item())
    }

    fn next_item(&mut self) -> Result<Option<InputItem>> {
        let file = &self.rows.source.file;
        let (name, name_in_records) = (Arc::clone(&file.name), file.name_in_records.clone());
        let Some(row) = self.rows.next_row()? else {
            return Ok(None);
        };
        let (line, size_bytes) = (row.line_number, row.size_bytes);
        let cells = row.cells.map_err(BadText::because);
        let text = cells.and_then(|cells| self.columns.text(&cells));
        let name = format_args!("line {line} of `{name}`");
        let text = with_place(text, name, name_in_records, Some(line));
        Ok(Some(InputItem { text, size_bytes }))
    }
}

/// The names of the columns in the first row.
fn header(row: Option<Row>) -> std::result::Result<Vec<String>, String> {
    let row = row.ok_or("it is empty: a table begins with the names of its columns")?;
    let name = |cell: &[u8]| lines::utf_8(cell.to_vec());
    row.cells?.into_iter().map(name).collect()
}

struct TableColumns {
    names: Arc<ColumnNames>,
    places: ColumnPlaces,
    count: usize,
}

impl TableColumns {
    fn text(&self, cells: &[&[u8]]) -> TextOrBad<Text> {
        if cells.len() != self.count {
            // Any cell may be missing, so the id is unknown too.
            return Err(BadText::because(format!(
                "it has {} cells, but the header has {}",
                cells.len(),
                self.count
            )));
        }
        let cell = |place: usize, name: &str| {
            let text = lines::utf_8(cells[place].to_vec());
            text.map_err(|cause| in_column(name, &cause))
        };
        let filled = |place: Option<usize>, name: &str| {
            let place = place.filter(|&place| !cells[place].is_empty());
            place.map(|place| cell(place, name)).transpose()
        };
        let names = &self.names;
        let id = filled(self.places.id, names.id()).map_err(BadText::because)?;
        let keep = names.keep.iter().zip(&self.places.keep);
        let kept = keep.map(|(name, &place)| cell(place, name).map(|text| json_string(&text)));
        Text::of_parts(Ok(id.map(Id::String)), names.kept(kept), || {
            let text = self.places.text.map(|place| cell(place, names.text()));
            let first = names.first(text.transpose()?, None)?;
            Ok((first, filled(self.places.pair, names.pair())?))
        })
    }
}

struct Row<'a> {
    cells: std::result::Result<Vec<&'a [u8]>, String>,
    /// Its first line, from 1.
    line_number: u64,
    size_bytes: u64,
}

struct Rows {
    source: TextReader,
    parser: csv_core::Reader,
    /// The line that is read next, from 1.
    line_number: u64,
    /// The cells of the last row, joined, and where each ends.
    cells: Vec<u8>,
    ends: Vec<usize>,
}

/// How much of the buffers the current row has filled.
#[derive(Default)]
struct Filled {
    cells: usize,
    ends: usize,
    bytes_read: u64,
    is_too_long: bool,
}

impl Rows {
    fn next_row(&mut self) -> Result<Option<Row<'_>>> {
        let skipped = self.skip_empty_lines();
        let Some(skipped_bytes) = skipped.map_err(|cause| self.source.failed(cause))? else {
            return Ok(None);
        };
        let line_number = self.line_number;
        let mut filled = Filled::default();
        let read = self.read(&mut filled);
        let is_complete = read.map_err(|cause| self.source.failed(cause))?;
        let cells = if !is_complete {
            Err("a quote is not closed before the end of the file".to_owned())
        } else if filled.is_too_long {
            Err("it is longer than 16 MiB: perhaps a quote is not closed".to_owned())
        } else {
            let ends = &self.ends[..filled.ends];
            let starts = std::iter::once(&0).chain(ends);
            let cells = starts.zip(ends);
            Ok(cells
                .map(|(&start, &end)| &self.cells[start..end])
                .collect())
        };
        Ok(Some(Row {
            cells,
            line_number,
            size_bytes: skipped_bytes + filled.bytes_read,
        }))
    }

    /// Returns the number of skipped bytes; `None` at the end of the source.
    fn skip_empty_lines(&mut self) -> io::Result<Option<u64>> {
        let mut skipped = 0;
        loop {
            let buffer = self.source.reader.fill_buf()?;
            if buffer.is_empty() {
                return Ok(None);
            }
            let is_end = |byte: &&u8| matches!(byte, b'\r' | b'\n');
            let ends = buffer.iter().take_while(is_end).count();
            let is_row = ends < buffer.len();
            self.line_number += line_ends(&buffer[..ends]);
            self.source.reader.consume(ends);
            skipped += ends as u64;
            if is_row {
                return Ok(Some(skipped));
            }
        }
    }

    /// Reads one row; returns whether it is complete.
    fn read(&mut self, filled: &mut Filled) -> io::Result<bool> {
        let mut has_ended = false;
        loop {
            let buffer = self.source.reader.fill_buf()?;
            // A line end closes the last row of a file without one, unless a quote is open.
            let is_at_end = buffer.is_empty();
            if has_ended {
                return Ok(false);
            }
            let input = if is_at_end { b"\n" } else { buffer };
            let (result, read, cells, ends) = self.parser.read_record(
                input,
                &mut self.cells[filled.cells..],
                &mut self.ends[filled.ends..],
            );
            filled.cells += cells;
            filled.ends += ends;
            if is_at_end {
                has_ended = read > 0;
            } else {
                filled.bytes_read += read as u64;
                self.line_number += line_ends(&input[..read]);
                self.source.reader.consume(read);
            }
            match result {
                ReadRecordResult::Record => return Ok(true),
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.grow(filled)?,
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::End => return Ok(false),
            }
        }
    }

    /// Makes room for more of a row. A row that is too long is dropped.
    fn grow(&mut self, filled: &mut Filled) -> io::Result<()> {
        if (self.cells.len() as u64) < MAX_TEXT_BYTES {
            self.cells.resize(self.cells.len() * 2, 0);
            return Ok(());
        }
        filled.is_too_long = true;
        (filled.cells, filled.ends) = (0, 0);
        if filled.bytes_read > MAX_SKIPPED_BYTES {
            return Err(io::Error::other("no end of a row within 1 GiB"));
        }
        Ok(())
    }
}

fn line_ends(bytes: &[u8]) -> u64 {
    bytes.split(|&byte| byte == b'\n').count() as u64 - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufReader, Cursor};

    fn rows(table: &str, capacity: usize) -> Vec<(u64, std::result::Result<Vec<String>, String>)> {
        let reader = BufReader::with_capacity(capacity, Cursor::new(table.to_owned().into_bytes()));
        let mut rows = Rows {
            source: TextReader::new("x", reader),
            parser: csv_core::Reader::new(),
            line_number: 1,
            cells: vec![0; 1],
            ends: vec![0; 1],
        };
        let mut found = Vec::new();
        while let Some(row) = rows.next_row().expect("a cursor can be read") {
            let text = |cell: &&[u8]| String::from_utf8_lossy(cell).into_owned();
            let cells = row.cells.map(|cells| cells.iter().map(text).collect());
            found.push((row.line_number, cells));
        }
        found
    }

    #[test]
    fn rows_do_not_depend_on_the_size_of_the_buffer() {
        let table = "a,b\r\n\r\n\"x\ny\",\"q\"\"\"\n,\n\n\"open,z\n";
        let cells = |cells: &[&str]| Ok(cells.iter().map(|&cell| cell.to_owned()).collect());
        let expected = vec![
            (1, cells(&["a", "b"])),
            (3, cells(&["x\ny", "q\""])),
            (5, cells(&["", ""])),
            (
                7,
                Err("a quote is not closed before the end of the file".to_owned()),
            ),
        ];
        for capacity in [1, 2, 3, 7, 1000] {
            assert_eq!(rows(table, capacity), expected, "{capacity}");
        }
        assert_eq!(rows("a", 8), [(1, cells(&["a"]))]);
        assert_eq!(rows("\"\"", 8), [(1, cells(&[""]))]);
        assert!(rows("\r\n\n", 8).is_empty());
    }
}
