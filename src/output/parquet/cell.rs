//! What one record adds to one column, as it is stored in the log.

use std::borrow::Cow;
use std::io;

use serde::{Deserialize, Serialize};

use crate::input::Segment;
use crate::output::{Context, Float};
use crate::record::{Field, RecordOrBad, Value, Word};

/// One record's part of a column; lists have their lengths, outermost first, none of them 0.
#[derive(Serialize, Deserialize)]
pub(super) enum Cell<'a> {
    Null,
    /// A list without elements.
    Empty,
    Number(u64),
    Text(Cow<'a, str>),
    Texts(Vec<Cow<'a, str>>),
    Integers(Vec<usize>, Cow<'a, [u32]>),
    /// A list whose elements may be null.
    Optional(Cow<'a, [Option<u32>]>),
    Floats(Vec<usize>, Cow<'a, [f32]>),
    /// f16 as bytes.
    Halves(Vec<usize>, Vec<u8>),
    /// A list of lists: the marked ones are empty, the others have the values of this cell.
    Gaps(Vec<bool>, Box<Cell<'a>>),
}

impl Cell<'_> {
    /// Converts its values to `float`; fails if one is too large.
    fn stored_as(self, float: Float) -> io::Result<Self> {
        match (self, float) {
            (Cell::Floats(lengths, values), Float::F16) => {
                let mut bytes = Vec::new();
                float.write(&values, &mut bytes)?;
                Ok(Cell::Halves(lengths, bytes))
            }
            (Cell::Gaps(gaps, cell), _) => Ok(Cell::Gaps(gaps, Box::new(cell.stored_as(float)?))),
            (cell, Float::F32 | Float::F16) => Ok(cell),
        }
    }
}

/// The cells of a record: the cells of each field, as many as `columns_of` gives, then `error`.
pub(super) fn row<'a>(
    record: &'a RecordOrBad,
    context: Context<'a>,
    columns_of: impl Fn(Field) -> usize,
) -> io::Result<Vec<Cell<'a>>> {
    let mut row = Vec::new();
    for &field in context.fields {
        let value = match record {
            Ok(record) => record.value(field, context.tokenizer),
            Err(bad) => bad.value(field),
        };
        match value {
            Some(Value::Words(words)) => row.extend(word_cells(words, columns_of(field))),
            Some(value) => row.push(cell(value)),
            None => row.extend((0..columns_of(field)).map(|_| Cell::Null)),
        }
    }
    row.push(match record {
        Ok(_) => Cell::Null,
        Err(bad) => Cell::Text(Cow::Borrowed(&bad.message)),
    });
    let cells = row.into_iter();
    cells.map(|cell| cell.stored_as(context.float)).collect()
}

fn cell(value: Value<'_>) -> Cell<'_> {
    match value {
        Value::Null | Value::Words(_) => Cell::Null,
        Value::Number(number) => Cell::Number(number),
        Value::Text(text) | Value::Json(text) => Cell::Text(text.into()),
        Value::Id(id) => Cell::Text(id.as_str().into()),
        Value::Segment(Segment::Text(text)) => Cell::Text(text.into()),
        Value::Segment(Segment::Words(words)) => Cell::Text(words.join(" ").into()),
        Value::Tokens(ids, tokenizer) => {
            Cell::Texts(ids.iter().map(|&id| tokenizer.token(id).into()).collect())
        }
        Value::Integers(values, lengths) => Cell::Integers(lengths, values),
        Value::NullableIntegers(values) => Cell::Optional(values.into()),
        Value::Floats(values, lengths) => Cell::Floats(lengths, values.into()),
        Value::Layers(layers, mut lengths) => {
            lengths.insert(0, layers.len());
            Cell::Floats(lengths, layers.concat().into())
        }
    }
}

/// The cells of a record's words: number, text, span, segment, tokens and vector.
fn word_cells(words: &[Word], columns: usize) -> Vec<Cell<'_>> {
    if words.is_empty() {
        return (0..columns).map(|_| Cell::Empty).collect();
    }
    let integers =
        |of: fn(&Word) -> u32| Cell::Integers(vec![words.len()], words.iter().map(of).collect());
    let segments: Vec<_> = words
        .iter()
        .map(|word| word.span.segment.map(u32::from))
        .collect();
    let vectors = || words.iter().filter_map(|word| word.vector.as_deref());
    let lengths = vec![vectors().count(), vectors().next().map_or(0, <[f32]>::len)];
    let gaps: Vec<_> = words.iter().map(|word| word.vector.is_none()).collect();
    let vectors = Cell::Floats(lengths, vectors().flatten().copied().collect());
    vec![
        integers(|word| word.span.word),
        Cell::Texts(
            words
                .iter()
                .map(|word| Cow::Borrowed(&*word.span.text))
                .collect(),
        ),
        integers(|word| word.span.span.0),
        integers(|word| word.span.span.1),
        Cell::Optional(segments.into()),
        integers(|word| word.span.tokens.start as u32),
        integers(|word| word.span.tokens.end as u32),
        if gaps.contains(&true) {
            Cell::Gaps(gaps, Box::new(vectors))
        } else {
            vectors
        },
    ]
}
