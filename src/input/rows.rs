//! Splits a csv or tsv table into rows of cells, in bounded memory.
//!
//! Quotes follow RFC 4180 and Python's csv module, in tsv too: a quoted cell may hold delimiters,
//! line ends and doubled quotes. Empty lines are skipped. Within quotes, a quote or an escape
//! character after an escape character is text; before any other character the escape character
//! itself is text, as in Spark's files.

use std::io::{self, BufRead};

use super::lines::{MAX_LINE_BYTES, MAX_SKIPPED_BYTES};
use super::source::TextReader;
use crate::error::Result;

/// The most cells of a row: 97 KB of gzip may hold 100 million delimiters.
const MAX_CELLS: usize = 1 << 16;

/// The memory that a row leaves to the next one; a longer row frees the rest.
const KEPT_BYTES: usize = 1 << 20;

pub(super) struct Row<'a> {
    pub(super) cells: std::result::Result<Vec<&'a [u8]>, String>,
    /// Its first line, from 1.
    pub(super) line_number: u64,
    pub(super) size_bytes: u64,
    /// Whether a quoted cell runs over a line end.
    pub(super) has_line_ends: bool,
    /// Whether a quoted cell holds `\"`, which ends it unless `\` escapes.
    pub(super) has_backslash_quote: bool,
}

pub(super) struct Rows {
    pub(super) source: TextReader,
    cells: Cells,
    /// The line that is read next, from 1.
    line_number: u64,
}

impl Rows {
    pub(super) fn new(
        source: TextReader,
        delimiter: u8,
        quote: Option<u8>,
        escape: Option<u8>,
    ) -> Self {
        Self {
            source,
            cells: Cells {
                delimiter,
                quote,
                escape,
                state: State::CellStart,
                bytes: Vec::new(),
                ends: Vec::new(),
                fault: None,
                has_line_ends: false,
                has_backslash_quote: false,
            },
            line_number: 1,
        }
    }

    pub(super) fn next_row(&mut self) -> Result<Option<Row<'_>>> {
        let skipped = self.skip_empty_lines();
        let Some(skipped_bytes) = skipped.map_err(|cause| self.source.failed(cause))? else {
            return Ok(None);
        };
        let line_number = self.line_number;
        let read_bytes = self.read().map_err(|cause| self.source.failed(cause))?;
        Ok(Some(Row {
            cells: self.cells.finished(),
            line_number,
            size_bytes: skipped_bytes + read_bytes,
            has_line_ends: self.cells.has_line_ends,
            has_backslash_quote: self.cells.has_backslash_quote,
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

    /// Reads one row and returns its bytes.
    fn read(&mut self) -> io::Result<u64> {
        let mut bytes_read = 0;
        self.cells.clear();
        loop {
            let buffer = self.source.reader.fill_buf()?;
            if buffer.is_empty() {
                self.cells.end();
                return Ok(bytes_read);
            }
            let (used, has_ended) = self.cells.read(buffer);
            self.line_number += line_ends(&buffer[..used]);
            self.source.reader.consume(used);
            bytes_read += used as u64;
            if has_ended {
                return Ok(bytes_read);
            }
            if bytes_read > MAX_SKIPPED_BYTES {
                return Err(io::Error::other("no end of a row within 1 GiB"));
            }
        }
    }
}

fn line_ends(bytes: &[u8]) -> u64 {
    bytes.split(|&byte| byte == b'\n').count() as u64 - 1
}

/// The cells of one row, and the rules by which they are read.
struct Cells {
    delimiter: u8,
    /// `None` if a quotation mark is text.
    quote: Option<u8>,
    escape: Option<u8>,
    state: State,
    /// The cells, joined, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<usize>,
    fault: Option<String>,
    has_line_ends: bool,
    has_backslash_quote: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    CellStart,
    Unquoted,
    Quoted,
    /// After a quote that ends the cell, unless another one follows.
    QuoteInQuoted,
    EscapeInQuoted,
}

impl Cells {
    fn clear(&mut self) {
        self.state = State::CellStart;
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.ends.clear();
        self.fault = None;
        (self.has_line_ends, self.has_backslash_quote) = (false, false);
    }

    /// Takes bytes up to the end of the row: how many, and whether the row has ended.
    fn read(&mut self, buffer: &[u8]) -> (usize, bool) {
        let mut used = 0;
        while used < buffer.len() {
            let plain = self.plain(&buffer[used..]);
            self.push(&buffer[used..used + plain]);
            used += plain;
            let Some(&byte) = buffer.get(used) else {
                break;
            };
            used += 1;
            if self.step(byte) {
                return (used, true);
            }
        }
        (used, false)
    }

    /// The number of bytes at the start of `buffer` that are text and do not change the state.
    fn plain(&self, buffer: &[u8]) -> usize {
        let is_end = |byte: &u8| match self.state {
            State::Unquoted => *byte == self.delimiter || matches!(byte, b'\r' | b'\n'),
            State::Quoted => {
                *byte == b'\n' || Some(*byte) == self.quote || Some(*byte) == self.escape
            }
            State::CellStart | State::QuoteInQuoted | State::EscapeInQuoted => true,
        };
        buffer.iter().position(is_end).unwrap_or(buffer.len())
    }

    /// Takes one byte; returns whether it ends the row.
    fn step(&mut self, byte: u8) -> bool {
        let is_quote = Some(byte) == self.quote;
        let is_escape = Some(byte) == self.escape;
        match self.state {
            State::CellStart if is_quote => self.state = State::Quoted,
            State::QuoteInQuoted if is_quote => {
                self.push(&[byte]);
                self.state = State::Quoted;
            }
            State::CellStart | State::Unquoted | State::QuoteInQuoted => {
                return self.unquoted(byte);
            }
            State::Quoted if is_escape => self.state = State::EscapeInQuoted,
            State::Quoted if is_quote => self.state = State::QuoteInQuoted,
            State::Quoted => {
                self.has_line_ends |= byte == b'\n';
                self.push(&[byte]);
            }
            State::EscapeInQuoted => {
                if !is_quote && !is_escape {
                    self.bytes.extend(self.escape);
                }
                self.push(&[byte]);
                self.state = State::Quoted;
            }
        }
        false
    }

    /// Takes a byte that is outside quotes; returns whether it ends the row.
    fn unquoted(&mut self, byte: u8) -> bool {
        if byte == self.delimiter {
            self.end_cell();
            self.state = State::CellStart;
            return false;
        }
        if matches!(byte, b'\r' | b'\n') {
            self.end_cell();
            return true;
        }
        // `"she said \"is\""`: a quote between a backslash and a letter does not end a cell.
        self.has_backslash_quote |=
            self.state == State::QuoteInQuoted && self.bytes.last() == Some(&b'\\');
        self.push(&[byte]);
        self.state = State::Unquoted;
        false
    }

    fn push(&mut self, bytes: &[u8]) {
        if (self.bytes.len() + bytes.len()) as u64 > MAX_LINE_BYTES {
            self.fail("it is longer than 64 MiB: perhaps a quote is not closed");
        }
        if self.fault.is_none() {
            self.bytes.extend_from_slice(bytes);
        }
    }

    fn end_cell(&mut self) {
        if self.ends.len() == MAX_CELLS {
            self.fail("it has more than 65,536 cells");
        }
        if self.fault.is_none() {
            self.ends.push(self.bytes.len());
        }
    }

    /// Drops the row, and keeps its first fault.
    fn fail(&mut self, fault: &str) {
        self.bytes = Vec::new();
        self.fault.get_or_insert_with(|| fault.to_owned());
    }

    /// The source has ended.
    fn end(&mut self) {
        match self.state {
            State::CellStart | State::Unquoted | State::QuoteInQuoted => self.end_cell(),
            State::Quoted | State::EscapeInQuoted => {
                self.fail("a quote is not closed before the end of the file");
            }
        }
    }

    fn finished(&self) -> std::result::Result<Vec<&[u8]>, String> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let starts = std::iter::once(&0).chain(&self.ends);
        let cells = starts.zip(&self.ends);
        Ok(cells
            .map(|(&start, &end)| &self.bytes[start..end])
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufReader, Cursor};

    fn rows(table: &str, capacity: usize) -> Vec<(u64, std::result::Result<Vec<String>, String>)> {
        let reader = BufReader::with_capacity(capacity, Cursor::new(table.to_owned().into_bytes()));
        let mut rows = Rows::new(TextReader::new("x", reader), b',', Some(b'"'), None);
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

    #[test]
    fn a_row_of_separators_is_refused_and_the_next_is_read() {
        let table = format!("{}\nnext", ",".repeat(MAX_CELLS));
        let found = rows(&table, 1 << 12);
        assert_eq!(found[0].1, Err("it has more than 65,536 cells".to_owned()));
        assert_eq!(found[1], (2, Ok(vec!["next".to_owned()])));
        let most = ",".repeat(MAX_CELLS - 1);
        assert!(rows(&most, 1 << 12)[0].1.is_ok());
    }
}
