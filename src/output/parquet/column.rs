//! Turns nested lists into one list of values with levels.
//!
//! A value's repetition level is the depth of lists at which it starts a new element, 0 for a new
//! record; its definition level counts the levels above it that are present. A field is optional
//! and its elements are not, so lists of depth n are full at level n + 1, empty at 1 and null at 0.
//!
//! Source: Dremel (Melnik et al. 2010), section 4; the format's `LogicalTypes.md`, Lists.

use parquet::column::writer::ColumnWriter;
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::errors::{ParquetError, Result};

use super::cell::Cell;

const HALF_BYTES: usize = 2;

/// One column of a row group; only the list of its type is filled.
#[derive(Default)]
pub(super) struct Column {
    definition_levels: Vec<i16>,
    repetition_levels: Vec<i16>,
    int32: Vec<i32>,
    int64: Vec<i64>,
    float: Vec<f32>,
    half: Vec<FixedLenByteArray>,
    text: Vec<ByteArray>,
    text_bytes: usize,
}

impl Column {
    /// Bytes that wait to be written.
    pub(super) fn size_bytes(&self) -> usize {
        size_of_val(&self.definition_levels[..])
            + size_of_val(&self.repetition_levels[..])
            + size_of_val(&self.int32[..])
            + size_of_val(&self.int64[..])
            + size_of_val(&self.float[..])
            + size_of_val(&self.half[..])
            + size_of_val(&self.text[..])
            + self.text_bytes
    }

    pub(super) fn write(&self, writer: &mut ColumnWriter) -> Result<()> {
        let definition = Some(&self.definition_levels[..]);
        let repetition = Some(&self.repetition_levels[..]);
        let written = match writer {
            ColumnWriter::Int32ColumnWriter(to) => {
                to.write_batch(&self.int32, definition, repetition)
            }
            ColumnWriter::Int64ColumnWriter(to) => {
                to.write_batch(&self.int64, definition, repetition)
            }
            ColumnWriter::FloatColumnWriter(to) => {
                to.write_batch(&self.float, definition, repetition)
            }
            ColumnWriter::FixedLenByteArrayColumnWriter(to) => {
                to.write_batch(&self.half, definition, repetition)
            }
            ColumnWriter::ByteArrayColumnWriter(to) => {
                to.write_batch(&self.text, definition, repetition)
            }
            _ => Err(ParquetError::General(
                "a column of an unknown type".to_owned(),
            )),
        };
        written.map(|_| ())
    }

    /// Empties the column and keeps its memory.
    pub(super) fn clear(&mut self) {
        self.definition_levels.clear();
        self.repetition_levels.clear();
        self.int32.clear();
        self.int64.clear();
        self.float.clear();
        self.half.clear();
        self.text.clear();
        self.text_bytes = 0;
    }

    /// Adds a record's part of this column.
    pub(super) fn push(&mut self, cell: &Cell) {
        match cell {
            Cell::Null => self.push_levels(0, 0),
            Cell::Empty => self.push_levels(0, 1),
            Cell::Number(number) => {
                self.push_full(&[]);
                self.int64.push(number.cast_signed());
            }
            Cell::Text(text) => {
                self.push_full(&[]);
                self.push_string(text);
            }
            Cell::Texts(texts) => {
                self.push_full(&[texts.len()]);
                for text in texts {
                    self.push_string(text);
                }
            }
            Cell::Integers(lengths, values) => {
                self.push_full(lengths);
                let values = values.iter().map(|value| value.cast_signed());
                self.int32.extend(values);
            }
            Cell::Optional(values) => self.push_optional(values),
            Cell::Floats(lengths, _) | Cell::Halves(lengths, _) => {
                self.push_full(lengths);
                self.push_values(cell);
            }
            Cell::Gaps(gaps, cell) => {
                self.push_gaps(gaps, cell);
                self.push_values(cell);
            }
        }
    }

    fn push_values(&mut self, cell: &Cell) {
        match cell {
            Cell::Floats(_, values) => self.float.extend_from_slice(values),
            Cell::Halves(_, bytes) => {
                let all = ByteArray::from(bytes.clone());
                let value = |start| all.slice(start, HALF_BYTES).into();
                let starts = (0..all.len()).step_by(HALF_BYTES);
                self.half.extend(starts.map(value));
            }
            Cell::Null
            | Cell::Empty
            | Cell::Number(_)
            | Cell::Text(_)
            | Cell::Texts(_)
            | Cell::Integers(..)
            | Cell::Optional(_)
            | Cell::Gaps(..) => {}
        }
    }

    /// Adds the levels of a list of lists, some of them empty; `cell` has the lengths of the rest.
    fn push_gaps(&mut self, gaps: &[bool], cell: &Cell) {
        let width = match cell {
            Cell::Floats(lengths, _) | Cell::Halves(lengths, _) => lengths[1],
            _ => 0,
        };
        for (place, is_gap) in gaps.iter().enumerate() {
            let start = repetition_level(place, &[gaps.len()]);
            if *is_gap {
                self.push_levels(start, 2);
                continue;
            }
            for number in 0..width {
                self.push_levels(if number == 0 { start } else { 2 }, 3);
            }
        }
    }

    fn push_string(&mut self, text: &str) {
        self.text_bytes += text.len();
        self.text.push(ByteArray::from(text));
    }

    fn push_levels(&mut self, repetition: i16, definition: i16) {
        self.repetition_levels.push(repetition);
        self.definition_levels.push(definition);
    }

    /// Adds the levels of nested lists with these lengths, outermost first, none of them 0.
    fn push_full(&mut self, lengths: &[usize]) {
        let definition = depth(lengths) + 1;
        for place in 0..lengths.iter().product() {
            self.push_levels(repetition_level(place, lengths), definition);
        }
    }

    /// A list whose elements may be null.
    fn push_optional(&mut self, values: &[Option<u32>]) {
        for (place, value) in values.iter().enumerate() {
            let definition = if value.is_some() { 3 } else { 2 };
            self.push_levels(repetition_level(place, &[values.len()]), definition);
        }
        let known = values.iter().flatten();
        self.int32.extend(known.map(|&value| value.cast_signed()));
    }
}

fn depth(lengths: &[usize]) -> i16 {
    (lengths.len() as u16).cast_signed()
}

/// The depth at which value number `place` of lists with these `lengths` starts an element.
fn repetition_level(place: usize, lengths: &[usize]) -> i16 {
    match lengths.split_last() {
        None => 0,
        Some((innermost, _)) if !place.is_multiple_of(*innermost) => depth(lengths),
        Some((innermost, outer)) => repetition_level(place / innermost, outer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_starts_an_element_at_the_depth_where_its_lists_start() {
        let levels: Vec<_> = (0..12)
            .map(|place| repetition_level(place, &[2, 3, 2]))
            .collect();
        assert_eq!(levels, [0, 3, 2, 3, 2, 3, 1, 3, 2, 3, 2, 3]);
        assert_eq!(repetition_level(0, &[]), 0);
    }
}
