//! The tensors of a file, their order, and the header that lists them.
//!
//! Source: the format's description in the repository huggingface/safetensors.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write;

use safetensors::Dtype;

use crate::output::{Context, Float};
use crate::record::{Element, Field, Totals};

/// Bytes of the widest element type; the data starts at a multiple of this.
const ALIGNMENT_BYTES: usize = 8;

/// The tensors of one file in the order of their data: wider elements first, so that all are
/// aligned.
pub(super) struct Layout(Vec<Tensor>);

struct Tensor {
    name: &'static str,
    dtype: Dtype,
    shape: Vec<u64>,
    parts: Vec<Part>,
}

/// The two sizes at the start of a record's frame in the log.
pub(super) struct Frame {
    pub(super) tokens: u64,
    pub(super) id_bytes: u64,
}

/// What is gathered from all frames, one part after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Where the tokens of each text start and end.
    Offsets,
    /// Where the id of each text starts and ends.
    IdOffsets,
    Ids,
    OfField {
        field: Field,
        /// Which of its parts, see [`Dimensions::parts`](crate::record::Dimensions::parts).
        number: u64,
    },
}

impl Layout {
    /// The tensors of the numeric fields of `context`, and of the ids.
    pub(super) fn new(context: &Context, totals: &Totals, id_bytes: u64) -> Self {
        let one = |name, dtype, size, part| Tensor {
            name,
            dtype,
            shape: vec![size],
            parts: vec![part],
        };
        let ends = totals.texts + 1;
        let mut tensors = vec![one("offsets", Dtype::I64, ends, Part::Offsets)];
        let fields = context.fields.iter();
        tensors.extend(fields.filter_map(|&field| Tensor::of_field(context, field, totals)));
        if id_bytes > 0 {
            tensors.push(one("id_offsets", Dtype::I64, ends, Part::IdOffsets));
            tensors.push(one(Field::Id.name(), Dtype::U8, id_bytes, Part::Ids));
        }
        tensors.sort_by_key(|tensor| Reverse(tensor.dtype.bitsize()));
        Self(tensors)
    }

    /// The parts of the data in order.
    pub(super) fn parts(&self) -> impl Iterator<Item = Part> {
        self.0.iter().flat_map(|tensor| &tensor.parts).copied()
    }

    /// The start of the file: length, JSON, padding with spaces.
    pub(super) fn header(&self, context: &Context) -> Vec<u8> {
        let mut json = format!("{{\"__metadata__\":{}", metadata(context));
        let mut start = 0;
        for tensor in &self.0 {
            let end = start + tensor.size_bytes();
            let (name, dtype, shape) = (tensor.name, tensor.dtype, &tensor.shape);
            // Writing to a string cannot fail.
            let _ = write!(
                json,
                ",\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":{shape:?},\
                 \"data_offsets\":[{start},{end}]}}"
            );
            start = end;
        }
        json.push('}');
        let length = json.len().next_multiple_of(ALIGNMENT_BYTES);
        let mut header = (length as u64).to_le_bytes().to_vec();
        header.extend_from_slice(json.as_bytes());
        header.resize(header.len() + length - json.len(), b' ');
        header
    }

    pub(super) fn size_bytes(&self, context: &Context) -> u64 {
        let data: u64 = self.0.iter().map(Tensor::size_bytes).sum();
        self.header(context).len() as u64 + data
    }
}

impl Tensor {
    /// The tensor of `field`; `None` if it is not numeric.
    fn of_field(context: &Context, field: Field, totals: &Totals) -> Option<Self> {
        let parts = 0..context.dimensions.parts(field);
        Some(Self {
            name: field.name(),
            dtype: dtype(context, field)?,
            shape: context.dimensions.tensor(field, totals),
            parts: parts
                .map(|number| Part::OfField { field, number })
                .collect(),
        })
    }

    fn size_bytes(&self) -> u64 {
        self.shape.iter().product::<u64>() * item_bytes(self.dtype)
    }
}

impl Frame {
    /// Start, counted after the sizes, and size in bytes of part `number` of a field.
    pub(super) fn place(&self, context: &Context, field: Field, number: u64) -> (u64, u64) {
        let before = context.fields.iter().take_while(|&&other| other != field);
        let start: u64 = before.map(|&other| self.bytes(context, other)).sum();
        let size_bytes = self.bytes(context, field) / context.dimensions.parts(field).max(1);
        (start + number * size_bytes, size_bytes)
    }

    pub(super) fn values_bytes(&self, context: &Context) -> u64 {
        let fields = context.fields.iter();
        fields.map(|&field| self.bytes(context, field)).sum()
    }

    fn bytes(&self, context: &Context, field: Field) -> u64 {
        let text = Totals::of_text(self.tokens, 0);
        let shape = context.dimensions.tensor(field, &text);
        let item_bytes = dtype(context, field).map_or(0, item_bytes);
        shape.iter().product::<u64>() * item_bytes
    }
}

/// The type of a numeric field's tensor; every integer is i64, which torch accepts as an index.
fn dtype(context: &Context, field: Field) -> Option<Dtype> {
    match field.spec().element {
        Element::I64 | Element::I32 | Element::NullableI32 => Some(Dtype::I64),
        Element::F32 => Some(match context.float {
            Float::F32 => Dtype::F32,
            Float::F16 => Dtype::F16,
        }),
        Element::Text | Element::Json | Element::Word => None,
    }
}

fn item_bytes(dtype: Dtype) -> u64 {
    (dtype.bitsize() / 8) as u64
}

/// Model, commit and options as a JSON object of strings, which is all that the format allows.
fn metadata(context: &Context) -> String {
    let mut metadata: BTreeMap<&str, &str> = BTreeMap::new();
    metadata.insert("bert_embed", env!("CARGO_PKG_VERSION"));
    metadata.insert("model", context.model);
    if let Some(commit) = context.commit {
        metadata.insert("revision", commit);
    }
    for (name, value) in context.options {
        metadata.insert(name, value);
    }
    serde_json::json!(metadata).to_string()
}
