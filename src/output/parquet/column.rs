//! Nested lists as one row of values with levels.
//!
//! A value's repetition level says at which depth of lists it begins a new element, 0 for a new
//! record; its definition level how much of the way down to it is there. A field is optional and its
//! elements are not, so lists of depth n are full at level n + 1, empty at 1 and null at 0.
//!
//! Source: Dremel (Melnik et al. 2010), section 4; the format's `LogicalTypes.md`, Lists.

use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::{ParquetError, Result};

use crate::cli::Field;
use crate::input::{Id, Segment};
use crate::output::record::Value;
use crate::output::{BadRecord, Word};

/// One column of a row group; only the list of its own type is filled.
#[derive(Default)]
pub(super) struct Column {
    definition_levels: Vec<i16>,
    repetition_levels: Vec<i16>,
    int32: Vec<i32>,
    int64: Vec<i64>,
    float: Vec<f32>,
    text: Vec<ByteArray>,
    text_bytes: usize,
}

impl Column {
    /// Memory taken by what waits to be written.
    pub(super) fn size_bytes(&self) -> usize {
        size_of_val(&self.definition_levels[..])
            + size_of_val(&self.repetition_levels[..])
            + size_of_val(&self.int32[..])
            + size_of_val(&self.int64[..])
            + size_of_val(&self.float[..])
            + size_of_val(&self.text[..])
            + self.text_bytes
    }

    /// Writes all to `writer`.
    ///
    /// # Errors
    /// Those of `writer`.
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
            ColumnWriter::ByteArrayColumnWriter(to) => {
                to.write_batch(&self.text, definition, repetition)
            }
            _ => Err(ParquetError::General(
                "a column of no known type".to_owned(),
            )),
        };
        written.map(|_| ())
    }

    /// Forgets all, and keeps the room.
    pub(super) fn clear(&mut self) {
        self.definition_levels.clear();
        self.repetition_levels.clear();
        self.int32.clear();
        self.int64.clear();
        self.float.clear();
        self.text.clear();
        self.text_bytes = 0;
    }

    /// A record without this field.
    pub(super) fn push_null(&mut self) {
        self.push_levels(0, 0);
    }

    /// A record with this text.
    pub(super) fn push_text(&mut self, text: &str) {
        self.push_full(&[]);
        self.push_string(text);
    }

    fn push_string(&mut self, text: &str) {
        self.text_bytes += text.len();
        self.text.push(ByteArray::from(text));
    }

    fn push_levels(&mut self, repetition: i16, definition: i16) {
        self.repetition_levels.push(repetition);
        self.definition_levels.push(definition);
    }

    /// The levels of a record's lists of these lengths, outermost first, none of them empty.
    fn push_full(&mut self, lengths: &[usize]) {
        let definition = depth(lengths) + 1;
        for place in 0..lengths.iter().product() {
            self.push_levels(repetition_level(place, lengths), definition);
        }
    }

    fn push_integers(&mut self, lengths: &[usize], values: impl Iterator<Item = u32>) {
        self.push_full(lengths);
        self.int32.extend(values.map(u32::cast_signed));
    }

    fn push_floats(&mut self, lengths: &[usize], values: &[f32]) {
        self.push_full(lengths);
        self.float.extend_from_slice(values);
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

/// The depth at which value number `place` of lists of these `lengths` begins an element.
fn repetition_level(place: usize, lengths: &[usize]) -> i16 {
    match lengths.split_last() {
        None => 0,
        Some((innermost, _)) if !place.is_multiple_of(*innermost) => depth(lengths),
        Some((innermost, outer)) => repetition_level(place / innermost, outer),
    }
}

/// Adds a record's `value` to the columns of its field.
pub(super) fn push(columns: &mut [Column], value: Option<Value>) {
    let Some(value) = value else {
        return columns.iter_mut().for_each(Column::push_null);
    };
    if let Value::Words(words) = value {
        return push_words(columns, words);
    }
    let column = &mut columns[0];
    match value {
        Value::Number(number) => {
            column.push_full(&[]);
            column.int64.push(number.cast_signed());
        }
        Value::Text(text) => column.push_text(text),
        Value::Id(Id::String(text)) | Value::Segment(Segment::Text(text)) => column.push_text(text),
        Value::Segment(Segment::Words(words)) => column.push_text(&words.join(" ")),
        Value::Id(Id::Number(number)) => column.push_text(&number.to_string()),
        Value::Tokens(ids, context) => {
            column.push_full(&[ids.len()]);
            let tokens = ids.iter().map(|&id| context.tokenizer.token(id));
            tokens.for_each(|token| column.push_string(token));
        }
        Value::Ids(ids) => column.push_integers(&[ids.len()], ids.iter().copied()),
        Value::Mask(ones, tokens) => {
            column.push_integers(&[tokens], (0..tokens).map(|place| u32::from(place < ones)));
        }
        Value::Bits(bits) => {
            column.push_integers(&[bits.len()], bits.iter().map(|&bit| u32::from(bit)));
        }
        Value::Offsets(offsets) => {
            let ends = offsets.iter().flat_map(|&(start, end)| [start, end]);
            column.push_integers(&[offsets.len(), 2], ends);
        }
        Value::WordIds(ids) => column.push_optional(ids),
        Value::Vector(None) | Value::Words(_) => column.push_null(),
        Value::Vector(Some(vector)) => column.push_floats(&[vector.len()], vector),
        Value::Rows(rows, width) => column.push_floats(&[rows.len() / width, width], rows),
        Value::Layers(layers, width) => {
            let rows = layers.first().map_or(0, |layer| layer.len() / width);
            column.push_full(&[layers.len(), rows, width]);
            for layer in layers {
                column.float.extend_from_slice(layer);
            }
        }
    }
}

/// Adds what there is of `field` where the text could not be embedded.
pub(super) fn push_bad(columns: &mut [Column], field: Field, bad: &BadRecord) {
    let index = (field == Field::Index).then_some(Value::Number(bad.index));
    push(columns, index);
}

/// Adds a record's words to the columns of their text, span, segment, tokens and vector.
fn push_words(columns: &mut [Column], words: &[Word]) {
    if words.is_empty() {
        return columns
            .iter_mut()
            .for_each(|column| column.push_levels(0, 1));
    }
    let [
        text,
        span_start,
        span_end,
        segment,
        tokens_start,
        tokens_end,
        vector,
    ] = columns
    else {
        return;
    };
    let list = [words.len()];
    text.push_full(&list);
    for word in words {
        text.push_string(&word.text);
    }
    span_start.push_integers(&list, words.iter().map(|word| word.span.0));
    span_end.push_integers(&list, words.iter().map(|word| word.span.1));
    let segments: Vec<_> = words
        .iter()
        .map(|word| word.segment.map(u32::from))
        .collect();
    segment.push_optional(&segments);
    tokens_start.push_integers(&list, words.iter().map(|word| word.tokens.start as u32));
    tokens_end.push_integers(&list, words.iter().map(|word| word.tokens.end as u32));
    vector.push_full(&[words.len(), words[0].vector.len()]);
    for word in words {
        vector.float.extend_from_slice(&word.vector);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_begins_an_element_at_the_depth_where_its_lists_begin() {
        let levels: Vec<_> = (0..12)
            .map(|place| repetition_level(place, &[2, 3, 2]))
            .collect();
        assert_eq!(levels, [0, 3, 2, 3, 2, 3, 1, 3, 2, 3, 2, 3]);
        assert_eq!(repetition_level(0, &[]), 0);
    }
}
