//! Which tensors a file has, in which order, and the header that says so.
//!
//! Source: the format's description in the repository huggingface/safetensors.

use std::collections::BTreeMap;
use std::fmt::Write;

use safetensors::Dtype;

use crate::output::Context;
use crate::record::{Element, Field, Totals};

/// Bytes of the widest number: the data begin at a multiple of it.
const ALIGNMENT_BYTES: usize = 8;

/// The tensors of one file in the order of their data: integers first, so that all are aligned.
pub(super) struct Layout(Vec<Tensor>);

struct Tensor {
    /// `None` for `offsets`.
    field: Option<Field>,
    dtype: Dtype,
    shape: Vec<u64>,
}

/// What is copied from frame to frame into the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Where the texts' tokens begin and end.
    Offsets,
    /// A part of a field.
    OfField {
        /// The field.
        field: Field,
        /// Which of its parts, see [`Dimensions::parts`](crate::record::Dimensions::parts).
        number: u64,
    },
}

impl Layout {
    /// The tensors of the numeric fields of `context` for such texts.
    pub(super) fn new(context: &Context, totals: &Totals) -> Self {
        let offsets = Tensor {
            field: None,
            dtype: Dtype::I64,
            shape: vec![totals.texts + 1],
        };
        let tensor = |&field: &Field| {
            Some(Tensor {
                field: Some(field),
                dtype: dtype(field)?,
                shape: context.dimensions.tensor(field, totals),
            })
        };
        let fields = context.fields.iter().filter_map(tensor);
        let mut tensors: Vec<_> = std::iter::once(offsets).chain(fields).collect();
        tensors.sort_by_key(|tensor| tensor.dtype == Dtype::F32);
        Self(tensors)
    }

    /// What the data consist of, in order.
    pub(super) fn parts(&self, context: &Context) -> Vec<Part> {
        let parts = |tensor: &Tensor| match tensor.field {
            None => vec![Part::Offsets],
            Some(field) => (0..context.dimensions.parts(field))
                .map(|number| Part::OfField { field, number })
                .collect(),
        };
        self.0.iter().flat_map(parts).collect()
    }

    /// The first bytes of the file: length, JSON, spaces.
    pub(super) fn header(&self, context: &Context) -> Vec<u8> {
        let mut json = format!("{{\"__metadata__\":{}", metadata(context));
        let mut start = 0;
        for tensor in &self.0 {
            let end = start + tensor.size_bytes();
            let name = tensor.field.map_or("offsets", Field::name);
            let (dtype, shape) = (tensor.dtype, &tensor.shape);
            // A string takes everything.
            let _ = write!(
                json,
                ",\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":{shape:?},\"data_offsets\":[{start},{end}]}}"
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

    /// The size of the file.
    pub(super) fn size_bytes(&self, context: &Context) -> u64 {
        let data: u64 = self.0.iter().map(Tensor::size_bytes).sum();
        self.header(context).len() as u64 + data
    }
}

impl Tensor {
    fn size_bytes(&self) -> u64 {
        self.shape.iter().product::<u64>() * item_bytes(self.dtype)
    }
}

/// Where part `number` of a field begins in the numbers of a frame of so many tokens, and its size
/// in bytes.
pub(super) fn place(context: &Context, field: Field, number: u64, tokens: u64) -> (u64, u64) {
    let fields = context.fields.iter();
    let before = fields.take_while(|&&other| other != field);
    let start: u64 = before.map(|&other| bytes(context, other, tokens)).sum();
    let size_bytes = bytes(context, field, tokens) / context.dimensions.parts(field).max(1);
    (start + number * size_bytes, size_bytes)
}

/// Bytes of the numbers of a frame of so many tokens.
pub(super) fn frame_bytes(context: &Context, tokens: u64) -> u64 {
    let fields = context.fields.iter();
    fields.map(|&field| bytes(context, field, tokens)).sum()
}

/// Bytes of a field of one text of so many tokens.
fn bytes(context: &Context, field: Field, tokens: u64) -> u64 {
    let text = Totals::of_text(tokens, 0);
    let numbers: u64 = context.dimensions.tensor(field, &text).iter().product();
    numbers * dtype(field).map_or(0, item_bytes)
}

/// The type of a field's tensor; every integer is i64, which torch takes as an index.
fn dtype(field: Field) -> Option<Dtype> {
    match field.spec().element {
        Element::I64 | Element::I32 | Element::NullableI32 => Some(Dtype::I64),
        Element::F32 => Some(Dtype::F32),
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
