//! Which tensors a file has, in which order, and the header that says so.
//!
//! Source: the format's description in the repository huggingface/safetensors.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::output::Context;
use crate::record::Field;

/// Bytes of the widest number: the data begin at a multiple of it.
const ALIGNMENT_BYTES: usize = 8;

/// The tensors of one file in the order of their data: integers first, so that all are aligned.
pub(super) struct Layout(Vec<Tensor>);

struct Tensor {
    /// `None` for `offsets`.
    field: Option<Field>,
    shape: Vec<u64>,
}

/// What is copied from frame to frame into the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Where the texts' tokens begin and end.
    Offsets,
    /// A field, or one layer of it.
    OfField {
        /// The field.
        field: Field,
        /// Place among the layers, 0 where there is one part only.
        layer: usize,
    },
}

impl Layout {
    /// The tensors of the fields of `context` for so many texts and tokens.
    pub(super) fn new(context: &Context, texts: u64, tokens: u64) -> Self {
        let offsets = Tensor {
            field: None,
            shape: vec![texts + 1],
        };
        let tensor = |&field: &Field| Tensor {
            field: Some(field),
            shape: context.shapes.of(field, texts, tokens),
        };
        let tensors = std::iter::once(offsets).chain(context.fields.iter().map(tensor));
        let mut tensors: Vec<_> = tensors.collect();
        tensors.sort_by_key(|tensor| tensor.field.is_some_and(is_float));
        Self(tensors)
    }

    /// What the data consist of, in order.
    pub(super) fn parts(&self, context: &Context) -> Vec<Part> {
        let parts = |tensor: &Tensor| match tensor.field {
            None => vec![Part::Offsets],
            Some(field) => (0..context.shapes.parts(field))
                .map(|layer| Part::OfField { field, layer })
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
            let (dtype, shape) = (tensor.dtype(), &tensor.shape);
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
}

impl Tensor {
    fn dtype(&self) -> &'static str {
        match self.field {
            Some(field) if is_float(field) => "F32",
            _ => "I64",
        }
    }

    fn size_bytes(&self) -> u64 {
        self.shape.iter().product::<u64>() * self.field.map_or(8, item_bytes)
    }
}

/// Where in the numbers of a frame of so many tokens a field's layer begins, and its size in bytes.
pub(super) fn place(context: &Context, field: Field, layer: usize, tokens: u64) -> (u64, u64) {
    let fields = context.fields.iter();
    let before = fields.take_while(|&&other| other != field);
    let start: u64 = before.map(|&other| bytes(context, other, tokens)).sum();
    let size_bytes = bytes(context, field, tokens) / context.shapes.parts(field) as u64;
    (start + layer as u64 * size_bytes, size_bytes)
}

/// Bytes of the numbers of a frame of so many tokens.
pub(super) fn frame_bytes(context: &Context, tokens: u64) -> u64 {
    let fields = context.fields.iter();
    fields.map(|&field| bytes(context, field, tokens)).sum()
}

/// Bytes of a field of one text of so many tokens.
fn bytes(context: &Context, field: Field, tokens: u64) -> u64 {
    let numbers: u64 = context.shapes.of(field, 1, tokens).iter().product();
    numbers * item_bytes(field)
}

/// The file's size for so many texts and tokens.
#[must_use]
pub fn size_bytes(context: &Context, texts: u64, tokens: u64) -> u64 {
    let layout = Layout::new(context, texts, tokens);
    let data: u64 = layout.0.iter().map(Tensor::size_bytes).sum();
    layout.header(context).len() as u64 + data
}

fn item_bytes(field: Field) -> u64 {
    if is_float(field) { 4 } else { 8 }
}

/// Whether the field is f32; every other number is i64.
fn is_float(field: Field) -> bool {
    matches!(
        field,
        Field::LastHiddenState | Field::PoolerOutput | Field::HiddenStates | Field::Embedding
    )
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
