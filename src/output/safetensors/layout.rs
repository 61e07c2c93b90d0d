//! Which tensors a file has, in which order, and the header that says so.
//!
//! Source: the format's description in the repository huggingface/safetensors.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::cli::Field;
use crate::output::Context;

/// Bytes of the widest number: the data begin at a multiple of it.
const ALIGNMENT_BYTES: usize = 8;

/// The tensors of one file in the order of their data: integers first, so that all are aligned.
pub(super) struct Layout(Vec<Tensor>);

struct Tensor {
    name: &'static str,
    dtype: &'static str,
    item_bytes: u64,
    shape: Vec<u64>,
}

impl Layout {
    /// The tensors of the fields of `context` for so many texts and tokens.
    pub(super) fn new(context: &Context, texts: u64, tokens: u64) -> Self {
        let offsets = Tensor::new("offsets", false, vec![texts + 1]);
        let tensor = |&field: &Field| {
            let shape = context.shapes.of(field, texts, tokens);
            Tensor::new(field.name(), is_float(field), shape)
        };
        let tensors = std::iter::once(offsets).chain(context.fields.iter().map(tensor));
        let mut tensors: Vec<_> = tensors.collect();
        tensors.sort_by_key(|tensor| tensor.dtype == "F32");
        Self(tensors)
    }

    /// The first bytes of the file: length, JSON, spaces.
    pub(super) fn header(&self, context: &Context) -> Vec<u8> {
        let mut json = format!("{{\"__metadata__\":{}", metadata(context));
        let mut start = 0;
        for tensor in &self.0 {
            let end = start + tensor.size_bytes();
            let Tensor {
                name, dtype, shape, ..
            } = tensor;
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
    fn new(name: &'static str, float: bool, shape: Vec<u64>) -> Self {
        let (dtype, item_bytes) = if float { ("F32", 4) } else { ("I64", 8) };
        Self {
            name,
            dtype,
            item_bytes,
            shape,
        }
    }

    fn size_bytes(&self) -> u64 {
        self.shape.iter().product::<u64>() * self.item_bytes
    }
}

/// The file's size for so many texts and tokens.
#[must_use]
pub fn size_bytes(context: &Context, texts: u64, tokens: u64) -> u64 {
    let layout = Layout::new(context, texts, tokens);
    let data: u64 = layout.0.iter().map(Tensor::size_bytes).sum();
    layout.header(context).len() as u64 + data
}

/// Whether the field is f32; every other number is i64.
pub(super) fn is_float(field: Field) -> bool {
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
