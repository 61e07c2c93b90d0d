//! Records for people to read: tokens with their ids and mask, shapes, the ends of each row.

use std::io::{self, Write};

use super::{Context, RecordWriter};
use crate::error::{Classify, Kind, Result, one_line};
use crate::record::{Field, Record, RecordOrBad, Value, Word};

/// Values shown at each end of a row.
const SHOWN: usize = 3;

pub(super) struct Preview<'a>(pub(super) Context<'a>);

impl Preview<'_> {
    fn print(&self, record: &Record, to: &mut dyn Write) -> io::Result<()> {
        let encoding = record.encoding();
        let index = record.text.text.place.index;
        write!(to, "text {index}: {} tokens", encoding.tokens())?;
        match encoding.dropped_tokens {
            0 => writeln!(to)?,
            dropped => writeln!(to, ", {dropped} dropped")?,
        }
        self.print_tokens(record, to)?;
        for &field in self.0.fields {
            self.print_vectors(record, field, to)?;
        }
        writeln!(to)
    }

    fn print_tokens(&self, record: &Record, to: &mut dyn Write) -> io::Result<()> {
        let encoding = record.encoding();
        let ids = encoding.input_ids.iter();
        let tokens: Vec<_> = ids
            .map(|&id| one_line(&self.0.tokenizer.token(id)))
            .collect();
        let widths = tokens.iter().map(|token| token.chars().count());
        let width = widths.max().unwrap_or(0).max("token".len());
        write!(
            to,
            "{:>6}  {:<width$}  {:>6}  type  mask",
            "row", "token", "id"
        )?;
        let states = record.last_hidden_state();
        let hidden = states.len() / tokens.len();
        let mut rows = states.chunks_exact(hidden.max(1));
        if rows.len() > 0 {
            write!(to, "  last_hidden_state [{}, {hidden}]", tokens.len())?;
        }
        writeln!(to)?;
        for (place, token) in tokens.iter().enumerate() {
            let (id, kind) = (encoding.input_ids[place], encoding.token_type_ids[place]);
            let mask = u8::from(place < encoding.attended);
            write!(
                to,
                "{place:>6}  {token:<width$}  {id:>6}  {kind:>4}  {mask:>4}"
            )?;
            if let Some(row) = rows.next() {
                write!(to, "  {}", ends(row))?;
            }
            writeln!(to)?;
        }
        Ok(())
    }

    /// Prints the ends of a vector or a word's vector, and the shape of a larger tensor. The rows
    /// of `last_hidden_state` are next to the tokens.
    fn print_vectors(&self, record: &Record, field: Field, to: &mut dyn Write) -> io::Result<()> {
        let name = field.name();
        match record.value(field, self.0.tokenizer) {
            Some(Value::Null) => writeln!(to, "{name}: the checkpoint has none"),
            Some(Value::Floats(vector, shape)) if shape.len() == 1 => {
                writeln!(to, "{name} {shape:?}  {}", ends(vector))
            }
            Some(Value::Floats(..)) if field == Field::LastHiddenState => Ok(()),
            Some(Value::Floats(_, shape)) => writeln!(to, "{name} {shape:?}"),
            Some(Value::Layers(layers, mut shape)) => {
                shape.insert(0, layers.len());
                writeln!(to, "{name} {shape:?}")
            }
            Some(Value::Json(json)) => writeln!(to, "{name} {}", one_line(json)),
            Some(Value::Words(words)) => words.iter().try_for_each(|word| print_word(word, to)),
            None
            | Some(
                Value::Number(_)
                | Value::Text(_)
                | Value::Segment(_)
                | Value::Id(_)
                | Value::Tokens(..)
                | Value::Integers(..)
                | Value::NullableIntegers(_),
            ) => Ok(()),
        }
    }
}

fn print_word(word: &Word, to: &mut dyn Write) -> io::Result<()> {
    let (text, rows) = (one_line(&word.span.text), &word.span.tokens);
    let ends = word.vector.as_deref().map(ends).unwrap_or_default();
    writeln!(to, "word {text}  rows {}..{}  {ends}", rows.start, rows.end)
}

/// The first and last values of `row`, in columns.
fn ends(row: &[f32]) -> String {
    let print = |value: &f32| format!("{value:>9.4}");
    if row.len() <= 2 * SHOWN {
        return row.iter().map(print).collect();
    }
    let first: String = row[..SHOWN].iter().map(print).collect();
    let last: String = row[row.len() - SHOWN..].iter().map(print).collect();
    format!("{first}  …{last}")
}

impl RecordWriter for Preview<'_> {
    fn write(&mut self, records: &[RecordOrBad], to: &mut dyn Write) -> Result<()> {
        for record in records {
            match record {
                Ok(record) => self.print(record, to),
                Err(bad) => {
                    let message = one_line(&bad.message);
                    writeln!(to, "text {}: error: {message}\n", bad.place.index)
                }
            }
            .kind(Kind::Output)?;
        }
        Ok(())
    }
}
