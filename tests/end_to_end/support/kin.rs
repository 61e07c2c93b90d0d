//! Writes the checkpoints of `tests/fixtures/kin_checkpoints.json`: BERT's kin.
//!
//! tests/fixtures/kin.py writes the same bytes, and transformers has read those.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::checkpoint::{Entry, fixture, resolve, sort_as_in_file, write_config};
use super::formula::{Storage, Tensor};
use super::safetensors_file::write_safetensors;

/// A checkpoint of one of BERT's kin; the file's `about` explains the fields.
#[derive(Clone, Debug, Deserialize)]
pub struct KinCheckpoint {
    /// The layout of `kin_layouts.json` whose files are its tokenizer.
    pub tokenizer: String,
    pub parts: Vec<String>,
    pub prefix: String,
    rename: Vec<(String, String)>,
    keys: BTreeMap<String, String>,
    sizes: BTreeMap<String, usize>,
    groups: bool,
    position_ids: bool,
    pub same_values_as: Option<String>,
    pub config: Map<String, Value>,
}

impl KinCheckpoint {
    /// The names of all checkpoints.
    pub fn names() -> Vec<String> {
        let table = fixture("kin_checkpoints.json");
        let names = table["checkpoints"].as_object().expect("a table").keys();
        names.cloned().collect()
    }

    pub fn named(name: &str) -> Self {
        let table = fixture("kin_checkpoints.json");
        serde_json::from_value(resolve(&table["checkpoints"], name)).expect("a whole checkpoint")
    }

    /// Writes config.json and model.safetensors into `directory`; gives the sha256 of the weights.
    pub fn write(&self, directory: &Path) -> String {
        let mut config = self.config.clone();
        config.retain(|_, value| !value.is_null());
        write_config(directory, &config);
        write_safetensors(&directory.join("model.safetensors"), &self.tensors(), None)
    }

    /// Every tensor in file order.
    pub fn tensors(&self) -> Vec<Tensor> {
        let tables = ["kin_checkpoints.json", "checkpoints.json"].map(fixture);
        let mut tensors = Vec::new();
        for part in &self.parts {
            let entries = tables.iter().find_map(|table| table["parts"].get(part));
            let entries = entries.expect("a known part").clone();
            let entries: Vec<Entry> = serde_json::from_value(entries).expect("a list of tensors");
            let beginnings = match part.as_str() {
                "layer" => self.layer_names(),
                _ => vec![(String::new(), String::new())],
            };
            for entry in &entries {
                for (plain, stored) in &beginnings {
                    let stored = self.stored_name(&format!("{stored}{}", entry.name), part);
                    let plain = format!("{plain}{}", entry.name);
                    let size = |key: &str| self.size(key);
                    tensors.push(entry.tensor(plain, stored, Storage::F32, size));
                }
            }
        }
        if self.position_ids {
            let plain_name = "embeddings.position_ids".to_owned();
            tensors.push(Tensor {
                stored_name: self.stored_name(&plain_name, ""),
                plain_name,
                storage: Storage::I64,
                shape: vec![1, self.size("max_position_embeddings")],
                mean: 0.0,
                spread: 0.0,
            });
        }
        sort_as_in_file(&mut tensors);
        tensors
    }

    /// The plain and the stored beginning of every layer's names.
    fn layer_names(&self) -> Vec<(String, String)> {
        if !self.groups {
            let plain = |layer| format!("encoder.layer.{layer}.");
            let layers = 0..self.size("num_hidden_layers");
            return layers.map(|layer| (plain(layer), plain(layer))).collect();
        }
        let inner = self.size("inner_group_num");
        let layers = 0..self.size("num_hidden_groups") * inner;
        let names = layers.map(|layer| {
            let (group, of_group) = (layer / inner, layer % inner);
            let stored = format!("encoder.albert_layer_groups.{group}.albert_layers.{of_group}.");
            (format!("encoder.layer.{layer}."), stored)
        });
        names.collect()
    }

    fn stored_name(&self, name: &str, part: &str) -> String {
        if part == "cls" || part.starts_with("head.") {
            return name.to_owned();
        }
        let renamed = self
            .rename
            .iter()
            .fold(name.to_owned(), |name, (old, new)| {
                name.replacen(old.as_str(), new, 1)
            });
        format!("{}{renamed}", self.prefix)
    }

    /// A size by BERT's name of it.
    fn size(&self, key: &str) -> usize {
        let own = self.keys.get(key).map_or(key, String::as_str);
        let of_config = self.config.get(own).and_then(Value::as_u64);
        let size = self.sizes.get(own).copied();
        size.or(of_config.map(|size| size as usize))
            .expect("a size that the table has")
    }
}
