//! Rows of a csv or tsv table as texts. The first row is the header, unless the table has none.

use std::sync::Arc;

use super::columns::{ColumnNames, ColumnPlaces, in_column, json_string};
use super::dialect::{Dialect, Quote};
use super::rows::{Row, Rows};
use super::source::{InputFile, TextReader, could_not_read};
use super::{
    BadText, Id, InputFormat, InputItem, InputOptions, Text, TextOrBad, lines, until_error,
    with_place,
};
use crate::error::{Error, Kind, Result};
use crate::notes;

/// The rows of one table; a bad row does not affect the others.
pub(super) struct Table {
    rows: Rows,
    columns: TableColumns,
    /// The first row, if it is not a header.
    first: Option<InputItem>,
    warnings: DialectWarnings,
}

impl Table {
    /// # Errors
    /// [`Kind::Input`] if it has no header; [`Kind::Usage`] if it lacks a column that is named.
    pub(super) fn new(
        source: TextReader,
        format: InputFormat,
        options: &InputOptions,
    ) -> Result<Self> {
        let dialect = &options.dialect;
        let default = format.spec().delimiter;
        let delimiter = dialect.delimiter.or(default).unwrap_or(',');
        let quote = (dialect.quote != Some(Quote::None)).then_some(b'"');
        let byte = |character: char| character as u8;
        let mut rows = Rows::new(source, byte(delimiter), quote, dialect.escape.map(byte));
        let file = rows.source.file.clone();
        let first = rows.next_row()?;
        let header = header(first.as_ref(), dialect).map_err(|cause| {
            Error::message(Kind::Input, cause).context(could_not_read(&file.name))
        })?;
        let names = Arc::new(options.columns.clone());
        let places = ColumnPlaces::find(&names, &header, &file.name, false)
            .map_err(|error| with_delimiter_tip(error, &header, delimiter))?;
        let columns = TableColumns {
            places,
            names,
            count: header.len(),
            has_header: !dialect.no_header,
        };
        let mut warnings = DialectWarnings::new(format, dialect);
        let first = first.filter(|_| dialect.no_header);
        let first = first.map(|row| columns.item(row, &file, &mut warnings));
        Ok(Self {
            rows,
            columns,
            first,
            warnings,
        })
    }

    pub(super) fn items(mut self) -> impl Iterator<Item = Result<InputItem>> {
        until_error(move || self.next_item())
    }

    fn next_item(&mut self) -> Result<Option<InputItem>> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        let file = self.rows.source.file.clone();
        let row = self.rows.next_row()?;
        Ok(row.map(|row| self.columns.item(row, &file, &mut self.warnings)))
    }
}

/// A longer first row is not a header, and a message would show all of it.
const MAX_HEADER_BYTES: u64 = 1 << 20;

/// The names of the columns in the first row, or their numbers.
fn header(row: Option<&Row>, dialect: &Dialect) -> std::result::Result<Vec<String>, String> {
    let row = match row {
        Some(row) => row,
        None if dialect.no_header => return Err("it is empty: a table has columns".to_owned()),
        None => return Err("it is empty: a table begins with the names of its columns".to_owned()),
    };
    let cells = row.cells.as_ref().map_err(Clone::clone)?;
    if dialect.no_header {
        return Ok((1..=cells.len()).map(|number| number.to_string()).collect());
    }
    if row.size_bytes > MAX_HEADER_BYTES {
        return Err("its header is longer than 1 MiB".to_owned());
    }
    let name = |cell: &&[u8]| lines::utf_8(cell.to_vec());
    cells.iter().map(name).collect()
}

/// The cells of a table with one column may be separated by another character.
fn with_delimiter_tip(error: Error, header: &[String], delimiter: char) -> Error {
    let [column] = header else {
        return error;
    };
    let others = [
        ('\t', r"--delimiter '\t'"),
        (';', "--delimiter ';'"),
        ('|', "--delimiter '|'"),
        (',', "--delimiter ,"),
    ];
    let mut others = others.into_iter().filter(|(other, _)| *other != delimiter);
    match others.find(|(other, _)| column.contains(*other)) {
        Some((_, tip)) => error.with_tip(tip),
        None => error,
    }
}

/// What to warn of, once, in a table that may be written with other quotes.
struct DialectWarnings {
    of_line_ends: bool,
    of_backslashes: bool,
}

impl DialectWarnings {
    fn new(format: InputFormat, dialect: &Dialect) -> Self {
        Self {
            of_line_ends: format == InputFormat::Tsv && dialect.quote.is_none(),
            of_backslashes: dialect.escape.is_none(),
        }
    }

    fn look_at(&mut self, row: &Row, name: &str) {
        let line = row.line_number;
        if row.has_line_ends && std::mem::take(&mut self.of_line_ends) {
            notes::warning(&format!(
                "a quoted cell in line {line} of `{name}` runs over a line end: \
                 --quote none takes quotation marks as text, --quote double confirms them"
            ));
        }
        if row.has_backslash_quote && std::mem::take(&mut self.of_backslashes) {
            notes::warning(&format!(
                "a quoted cell in line {line} of `{name}` holds `\\\"`: \
                 --escape '\\' takes that as a quotation mark"
            ));
        }
    }
}

struct TableColumns {
    names: Arc<ColumnNames>,
    places: ColumnPlaces,
    count: usize,
    has_header: bool,
}

impl TableColumns {
    fn item(&self, row: Row, file: &InputFile, warnings: &mut DialectWarnings) -> InputItem {
        warnings.look_at(&row, &file.name);
        let (line, size_bytes) = (row.line_number, row.size_bytes);
        let cells = row.cells.map_err(BadText::because);
        let text = cells.and_then(|cells| self.text(&cells));
        let name = format_args!("line {line} of `{}`", file.name);
        let text = with_place(text, name, file.name_in_records.clone(), Some(line));
        InputItem {
            text,
            size_bytes,
            skipped: 0,
        }
    }

    fn text(&self, cells: &[&[u8]]) -> TextOrBad<Text> {
        if cells.len() != self.count {
            // Any cell may be missing, so the id is unknown too.
            let first = if self.has_header {
                "header"
            } else {
                "first row"
            };
            let (cells, count) = (cells.len(), self.count);
            return Err(BadText::because(format!(
                "it has {cells} cells, but the {first} has {count}"
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
            let first = names.first(text.transpose()?, None, false)?;
            Ok((first, filled(self.places.pair, names.pair())?))
        })
    }
}
