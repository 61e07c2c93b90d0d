//! The size of an output, for the dry run.
//!
//! Sizes of npy and safetensors are exact. A size in JSON is exact except for the vectors, whose
//! values count as an average number of bytes each. A size in parquet is the size of the values,
//! plus the size of everything else in JSON.

use super::Context;
use crate::record::{Field, Totals};

/// Tenths of a byte that a value takes in JSON, with its comma. For normally distributed f32
/// values, the mean is 11.9 bytes at a standard deviation of 0.1, 11.5 at 0.3 and 11.2 at 0.5.
const JSON_NUMBER_TENTHS: u64 = 115;

/// Bytes of one `[PAD]` in the default fields of a JSON record.
const JSON_PAD_BYTES: u64 = 14;

/// Bytes of a word in a JSON record, without its vector.
const JSON_WORD_BYTES: u64 = 60;

/// What is known about the records before their vectors are computed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Measured {
    pub totals: Totals,
    pub longest_record: u64,
    /// Bytes of the ids, if they are selected.
    pub id_bytes: u64,
    /// Bytes of the JSON lines without any vector.
    pub json_bytes: u64,
}

/// The size of a file in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    Exact(u64),
    /// The file will have about this size.
    Estimate(u64),
}

impl Measured {
    /// The same with all records padded to the longest.
    pub(crate) fn padded_to_longest(self) -> Self {
        let Self {
            totals,
            longest_record,
            json_bytes,
            ..
        } = self;
        let tokens = totals.texts * longest_record;
        Self {
            totals: Totals {
                tokens,
                token_pairs: tokens * longest_record,
                ..totals
            },
            json_bytes: json_bytes + (tokens - totals.tokens) * JSON_PAD_BYTES,
            ..self
        }
    }
}

pub(super) fn json_lines(context: &Context, measured: &Measured) -> Size {
    let numbers = floats(context, measured) * JSON_NUMBER_TENTHS / 10;
    let words = measured.totals.words * JSON_WORD_BYTES;
    Size::Estimate(measured.json_bytes + words + numbers)
}

pub(super) fn document(context: &Context, measured: &Measured) -> Size {
    json_lines(context, &measured.padded_to_longest())
}

pub(super) fn parquet(context: &Context, measured: &Measured) -> Size {
    Size::Estimate(measured.json_bytes + context.float.size_bytes() * floats(context, measured))
}

/// The number of values in all vectors.
pub(super) fn floats(context: &Context, measured: &Measured) -> u64 {
    let fields = context.fields.iter();
    let floats = |&field: &Field| context.dimensions.floats(field, &measured.totals);
    fields.map(floats).sum()
}
