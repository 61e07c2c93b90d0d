//! A tiny checkpoint that can be damaged in every way: config, tensors and bytes are all to be changed.
//!
//! Its names and shapes are written out here, from transformers' `BertModel`, so that they do not
//! come from the code under test.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

/// A tensor as the header of a file tells of it; its numbers are a pattern.
#[derive(Clone)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) dtype: &'static str,
    pub(crate) shape: Vec<usize>,
}

/// The parts of a checkpoint, to be changed before they are written.
#[derive(Clone)]
pub(crate) struct Checkpoint {
    pub(crate) config: Map<String, Value>,
    pub(crate) tensors: Vec<Tensor>,
}

const VOCAB: usize = 5;
const POSITIONS: usize = 8;
const TYPES: usize = 2;
const HIDDEN: usize = 4;
const INTERMEDIATE: usize = 6;
const LAYERS: usize = 2;

impl Checkpoint {
    /// A BERT of two layers with prefix `bert.` and pooler, as `BertModel` would write it.
    pub(crate) fn tiny() -> Self {
        let config = json!({
            "architectures": ["BertForMaskedLM"], "model_type": "bert", "hidden_act": "gelu",
            "vocab_size": VOCAB, "hidden_size": HIDDEN, "num_hidden_layers": LAYERS,
            "num_attention_heads": 2, "intermediate_size": INTERMEDIATE,
            "max_position_embeddings": POSITIONS, "type_vocab_size": TYPES,
            "layer_norm_eps": 1e-12, "pad_token_id": 0, "torch_dtype": "float32"
        });
        let Value::Object(config) = config else {
            unreachable!("an object")
        };
        let mut checkpoint = Self {
            config,
            tensors: Vec::new(),
        };
        checkpoint.add_embeddings();
        for layer in 0..LAYERS {
            checkpoint.add_layer(layer);
        }
        checkpoint.add_linear("bert.pooler.dense", HIDDEN, HIDDEN);
        checkpoint
    }

    fn add_embeddings(&mut self) {
        let tables = [
            ("word", VOCAB),
            ("position", POSITIONS),
            ("token_type", TYPES),
        ];
        for (table, rows) in tables {
            self.add(
                &format!("bert.embeddings.{table}_embeddings.weight"),
                &[rows, HIDDEN],
            );
        }
        self.add("bert.embeddings.LayerNorm.weight", &[HIDDEN]);
        self.add("bert.embeddings.LayerNorm.bias", &[HIDDEN]);
    }

    /// The tensors of one layer.
    pub(crate) fn add_layer(&mut self, layer: usize) {
        let layer = format!("bert.encoder.layer.{layer}");
        for part in ["self.query", "self.key", "self.value", "output.dense"] {
            self.add_linear(&format!("{layer}.attention.{part}"), HIDDEN, HIDDEN);
        }
        self.add_linear(&format!("{layer}.intermediate.dense"), INTERMEDIATE, HIDDEN);
        self.add_linear(&format!("{layer}.output.dense"), HIDDEN, INTERMEDIATE);
        for part in ["attention.output", "output"] {
            self.add(&format!("{layer}.{part}.LayerNorm.weight"), &[HIDDEN]);
            self.add(&format!("{layer}.{part}.LayerNorm.bias"), &[HIDDEN]);
        }
    }

    fn add_linear(&mut self, name: &str, rows: usize, columns: usize) {
        self.add(&format!("{name}.weight"), &[rows, columns]);
        self.add(&format!("{name}.bias"), &[rows]);
    }

    /// One more f32 tensor.
    pub(crate) fn add(&mut self, name: &str, shape: &[usize]) {
        self.tensors.push(Tensor {
            name: name.to_owned(),
            dtype: "F32",
            shape: shape.to_vec(),
        });
    }

    /// The tensor whose name ends with `ending`, to be changed.
    pub(crate) fn tensor(&mut self, ending: &str) -> &mut Tensor {
        let mut tensors = self.tensors.iter_mut();
        tensors
            .find(|tensor| tensor.name.ends_with(ending))
            .expect("the tensor is there")
    }

    /// Without the tensors whose names hold `part`.
    pub(crate) fn remove(&mut self, part: &str) {
        self.tensors.retain(|tensor| !tensor.name.contains(part));
    }

    /// Every tensor with another name.
    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        for tensor in &mut self.tensors {
            tensor.name = tensor.name.replace(from, to);
        }
    }

    /// `config.json` and `model.safetensors` in `directory`.
    pub(crate) fn write(&self, directory: &Path) {
        self.write_config(directory);
        fs::write(directory.join("model.safetensors"), file(&self.tensors)).expect("written");
    }

    /// `config.json` alone.
    pub(crate) fn write_config(&self, directory: &Path) {
        let config = Value::Object(self.config.clone()).to_string();
        fs::write(directory.join("config.json"), config).expect("written");
    }
}

/// Bytes that one number of `dtype` takes.
fn size_bytes(dtype: &str) -> usize {
    match dtype {
        "I64" | "F64" => 8,
        "F32" => 4,
        "F16" | "BF16" => 2,
        _ => 1,
    }
}

/// The header's JSON and the bytes of a safetensors file with `tensors`.
pub(crate) fn parts(tensors: &[Tensor]) -> (Map<String, Value>, Vec<u8>) {
    let mut header = Map::new();
    let mut data = Vec::new();
    for tensor in tensors {
        let start = data.len();
        let elements: usize = tensor.shape.iter().product();
        let filler = (0..elements * size_bytes(tensor.dtype)).map(|byte| (byte % 61) as u8);
        data.extend(filler);
        let entry = json!({
            "dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [start, data.len()]
        });
        header.insert(tensor.name.clone(), entry);
    }
    (header, data)
}

/// A safetensors file from its header's text and its data.
pub(crate) fn assemble(header: &str, data: &[u8]) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    file
}

/// A whole safetensors file with `tensors`, its header padded to 8 bytes as safetensors does.
pub(crate) fn file(tensors: &[Tensor]) -> Vec<u8> {
    let (header, data) = parts(tensors);
    let header = Value::Object(header).to_string();
    let width = header.len().next_multiple_of(8);
    assemble(&format!("{header:<width$}"), &data)
}
