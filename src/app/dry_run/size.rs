//! The size of the output in each form.
//!
//! npy and safetensors are exact. JSON is exact but for its vectors, whose numbers are taken to
//! have so many bytes each; parquet is what its numbers take and the rest as in JSON.

use super::Counts;
use crate::output::{Context, Npy, safetensors_size_bytes};
use crate::record::Field;

/// Tenths of a byte that a number takes in JSON with its comma: the mean of the shortest texts of
/// normally distributed f32 with a spread of 0.1 is 11.9 bytes, of 0.3 it is 11.5, of 0.5 it is 11.2.
pub(super) const JSON_NUMBER_TENTHS: u64 = 115;

/// Bytes of one `[PAD]` in the default fields of a JSON record.
const JSON_PAD_BYTES: u64 = 14;

/// Bytes of a word in a JSON record beside its vector.
const JSON_WORD_BYTES: u64 = 60;

/// Bytes of the output by form; `None` where the form cannot hold what is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Estimated.
    pub(crate) jsonl: u64,
    /// Estimated.
    pub(crate) json: u64,
    /// Exact, of `embedding` where it is asked for, else of `pooler_output`.
    pub(crate) npy: Option<u64>,
    /// Exact, of the numeric fields among those asked for.
    pub(crate) safetensors: u64,
    /// Estimated.
    pub(crate) parquet: u64,
}

impl Sizes {
    /// The sizes of the records of `counts` with the fields of `context`; `to_longest` where all
    /// are filled up to the longest.
    pub(super) fn new(counts: &Counts, to_longest: bool, context: &Context) -> Self {
        let texts = counts.texts();
        let longest_rows = texts * counts.longest_record;
        let rows = if to_longest {
            longest_rows
        } else {
            counts.rows
        };
        let jsonl = json_bytes(counts, rows, context);
        Self {
            jsonl,
            json: json_bytes(counts, longest_rows, context),
            npy: vector_field(context).map(|_| Npy::size_bytes(texts, context.shapes.hidden)),
            safetensors: safetensors_bytes(texts, rows, context),
            parquet: counts.json_bytes + 4 * numbers(counts, rows, context),
        }
    }
}

/// The field that npy would hold.
pub(super) fn vector_field(context: &Context) -> Option<Field> {
    let fields = [Field::Embedding, Field::PoolerOutput];
    fields
        .into_iter()
        .find(|field| context.fields.contains(field))
}

fn json_bytes(counts: &Counts, rows: u64, context: &Context) -> u64 {
    let padding = (rows - counts.rows) * JSON_PAD_BYTES;
    let numbers = numbers(counts, rows, context) * JSON_NUMBER_TENTHS / 10;
    counts.json_bytes + padding + counts.words * JSON_WORD_BYTES + numbers
}

/// The numbers of all vectors.
fn numbers(counts: &Counts, rows: u64, context: &Context) -> u64 {
    let number = |&field: &Field| match field {
        Field::LastHiddenState | Field::PoolerOutput | Field::HiddenStates | Field::Embedding => {
            let shape = context.shapes.of(field, counts.texts(), rows);
            shape.iter().product()
        }
        Field::Words => counts.words * context.shapes.hidden as u64,
        _ => 0,
    };
    context.fields.iter().map(number).sum()
}

fn safetensors_bytes(texts: u64, rows: u64, context: &Context) -> u64 {
    let numeric = |field: &Field| field.is_numeric();
    let fields: Vec<_> = context.fields.iter().copied().filter(numeric).collect();
    let context = Context {
        fields: &fields,
        ..*context
    };
    safetensors_size_bytes(&context, texts, rows)
}
