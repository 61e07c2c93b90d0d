//! What one record adds to one column, as it waits in the log.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::input::{Id, Segment};
use crate::output::Context;
use crate::record::Field;
use crate::record::Value;
use crate::record::{BadRecord, Record, Word};

/// One record's part of a column; lists have their lengths, outermost first, none of them 0.
#[derive(Serialize, Deserialize)]
pub(super) enum Cell<'a> {
    /// Nothing is known.
    Null,
    /// A list without elements.
    Empty,
    /// A count.
    Number(u64),
    /// A string.
    Text(Cow<'a, str>),
    /// A list of strings.
    Texts(Vec<Cow<'a, str>>),
    /// Lists of these lengths.
    Integers(Vec<usize>, Vec<u32>),
    /// A list whose elements may be null.
    Optional(Cow<'a, [Option<u32>]>),
    /// Lists of these lengths.
    Floats(Vec<usize>, Cow<'a, [f32]>),
}

/// The cells of all `columns_of` fields of a record, those of `error` last.
pub(super) fn row<'a>(
    record: std::result::Result<&'a Record<'a>, &'a BadRecord>,
    context: Context<'a>,
    columns_of: impl Fn(Field) -> usize,
) -> Vec<Cell<'a>> {
    let mut row = Vec::new();
    for &field in context.fields {
        let value = match record {
            Ok(record) => record.value(field, context),
            Err(bad) => match field {
                Field::Index => Some(Value::Number(bad.index)),
                Field::Id => bad.bad.id.as_ref().map(Value::Id),
                _ => None,
            },
        };
        match value {
            Some(Value::Words(words)) => row.extend(word_cells(words, columns_of(field))),
            Some(value) => row.push(cell(value)),
            None => row.extend((0..columns_of(field)).map(|_| Cell::Null)),
        }
    }
    row.push(match record {
        Ok(_) => Cell::Null,
        Err(bad) => Cell::Text(Cow::Borrowed(&bad.bad.message)),
    });
    row
}

fn cell(value: Value<'_>) -> Cell<'_> {
    let list = |values: Vec<u32>| Cell::Integers(vec![values.len()], values);
    match value {
        Value::Number(number) => Cell::Number(number),
        Value::Text(text) => Cell::Text(text.into()),
        Value::Id(Id::String(text) | Id::Number(text)) | Value::Segment(Segment::Text(text)) => {
            Cell::Text(text.into())
        }
        Value::Segment(Segment::Words(words)) => Cell::Text(words.join(" ").into()),
        Value::Tokens(ids, context) => {
            let token = |&id| context.tokenizer.token(id).into();
            Cell::Texts(ids.iter().map(token).collect())
        }
        Value::Ids(ids) => list(ids.to_vec()),
        Value::Mask(ones, tokens) => list((0..tokens).map(|at| u32::from(at < ones)).collect()),
        Value::Bits(bits) => list(bits.iter().map(|&bit| u32::from(bit)).collect()),
        Value::Offsets(offsets) => {
            let ends = offsets.iter().flat_map(|&(start, end)| [start, end]);
            Cell::Integers(vec![offsets.len(), 2], ends.collect())
        }
        Value::WordIds(ids) => Cell::Optional(ids.into()),
        Value::Vector(None) | Value::Words(_) => Cell::Null,
        Value::Vector(Some(vector)) => Cell::Floats(vec![vector.len()], vector.into()),
        Value::Rows(rows, width) => Cell::Floats(vec![rows.len() / width, width], rows.into()),
        Value::Layers(layers, width) => {
            let rows = layers.first().map_or(0, |layer| layer.len() / width);
            Cell::Floats(vec![layers.len(), rows, width], layers.concat().into())
        }
    }
}

/// The cells of a record's words: text, span, segment, tokens and vector.
fn word_cells(words: &[Word], columns: usize) -> Vec<Cell<'_>> {
    if words.is_empty() {
        return (0..columns).map(|_| Cell::Empty).collect();
    }
    let integers =
        |of: fn(&Word) -> u32| Cell::Integers(vec![words.len()], words.iter().map(of).collect());
    let segments: Vec<_> = words
        .iter()
        .map(|word| word.segment.map(u32::from))
        .collect();
    let vectors = words.iter().flat_map(|word| &word.vector).copied();
    vec![
        Cell::Texts(
            words
                .iter()
                .map(|word| Cow::Borrowed(&*word.text))
                .collect(),
        ),
        integers(|word| word.span.0),
        integers(|word| word.span.1),
        Cell::Optional(segments.into()),
        integers(|word| word.tokens.start as u32),
        integers(|word| word.tokens.end as u32),
        Cell::Floats(vec![words.len(), words[0].vector.len()], vectors.collect()),
    ]
}
