//! A checkpoint to be damaged: its config, its tensors and the bytes of its file can be changed.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::checkpoint::{Checkpoint, write_config};
use super::formula::{Storage, Tensor};

/// A checkpoint whose tensors can be changed one by one before they are written.
#[derive(Clone)]
pub struct Broken {
    pub checkpoint: Checkpoint,
    pub tensors: Vec<Tensor>,
}

impl Broken {
    /// The checkpoint `smallest`, still whole: two layers, hidden 4, prefix `bert.`, a pooler.
    pub fn smallest() -> Self {
        let checkpoint = Checkpoint::named("smallest");
        Self {
            tensors: checkpoint.tensors_as_listed(),
            checkpoint,
        }
    }

    /// The keys of config.json.
    pub fn config(&mut self) -> &mut Map<String, Value> {
        &mut self.checkpoint.config
    }

    /// One layer more than config.json says.
    pub fn add_layer(&mut self) {
        let mut more = self.checkpoint.clone();
        let layers = self.checkpoint.config["num_hidden_layers"].as_u64();
        let added = layers.expect("a number");
        more.config["num_hidden_layers"] = json!(added + 1);
        let part = format!(".layer.{added}.");
        let tensors = more.tensors_as_listed().into_iter();
        let tensors = tensors.filter(|tensor| tensor.stored_name.contains(&part));
        self.tensors.extend(tensors);
    }

    /// One more f32 tensor.
    pub fn add(&mut self, name: &str, shape: &[usize]) {
        self.tensors.push(Tensor {
            stored_name: name.to_owned(),
            plain_name: name.to_owned(),
            storage: Storage::F32,
            shape: shape.to_vec(),
            mean: 0.0,
            spread: 1.0,
        });
    }

    /// The tensor whose name ends with `ending`, to be changed.
    pub fn tensor(&mut self, ending: &str) -> &mut Tensor {
        let mut tensors = self.tensors.iter_mut();
        tensors
            .find(|tensor| tensor.stored_name.ends_with(ending))
            .expect("the tensor is there")
    }

    /// Without the tensors whose names hold `part`.
    pub fn remove(&mut self, part: &str) {
        self.tensors
            .retain(|tensor| !tensor.stored_name.contains(part));
    }

    /// Every tensor with another name.
    pub fn rename(&mut self, from: &str, to: &str) {
        for tensor in &mut self.tensors {
            tensor.stored_name = tensor.stored_name.replace(from, to);
        }
    }

    /// `config.json` alone, null values included.
    pub fn write_config(&self, directory: &Path) {
        write_config(directory, &self.checkpoint.config);
    }

    /// `config.json` and `model.safetensors` in `directory`.
    pub fn write(&self, directory: &Path) {
        self.write_config(directory);
        fs::write(directory.join("model.safetensors"), file(&self.tensors)).expect("written");
    }
}

/// The header's JSON and the bytes of a safetensors file with `tensors`.
pub fn parts(tensors: &[Tensor]) -> (Map<String, Value>, Vec<u8>) {
    let mut header = Map::new();
    let mut data = Vec::new();
    for tensor in tensors {
        let start = data.len();
        data.extend(tensor.bytes());
        let entry = json!({
            "dtype": tensor.storage.name(), "shape": tensor.shape, "data_offsets": [start, data.len()]
        });
        header.insert(tensor.stored_name.clone(), entry);
    }
    (header, data)
}

/// A safetensors file from its header's text and its data.
pub fn assemble(header: &str, data: &[u8]) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    file
}

/// A whole safetensors file with `tensors`, its header padded to 8 bytes as safetensors does.
pub fn file(tensors: &[Tensor]) -> Vec<u8> {
    let (header, data) = parts(tensors);
    let header = Value::Object(header).to_string();
    let width = header.len().next_multiple_of(8);
    assemble(&format!("{header:<width$}"), &data)
}
