//! Writes the checkpoints of tests/fixtures/checkpoints.json, so that no weights are committed.
//!
//! The numbers come from [`super::formula`]; tests/fixtures/make.py writes the same bytes, and
//! transformers has read those. [`super::broken`] damages what is built here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::formula::{Storage, Tensor};
use super::safetensors_file::write_safetensors;

/// tests/fixtures.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// A JSON file under tests/fixtures.
pub fn fixture(name: &str) -> Value {
    let text = fs::read_to_string(fixtures().join(name)).expect("the fixture is there");
    serde_json::from_str(&text).expect("the fixture is JSON")
}

/// What a checkpoint's files look like; change a field to get one that no test has yet.
#[derive(Clone, Debug, Deserialize)]
pub struct Checkpoint {
    /// config.json; a null value leaves the key out of the file.
    pub config: Map<String, Value>,
    /// The file under tests/fixtures that becomes vocab.txt.
    pub vocabulary: String,
    /// Which groups of tensors: `embeddings`, `layer`, `pooler`, `cls`.
    pub parts: Vec<String>,
    /// What stands in front of every name but `cls.*`.
    pub prefix: String,
    /// `gamma` and `beta` where others have `weight` and `bias`.
    pub gamma_beta: bool,
    /// Whether the positions 0, 1, … are in the file too, as old checkpoints have them.
    pub position_ids: bool,
    pub storage: Storage,
    /// More than one: shards and an index.
    pub files: usize,
    /// The file's size, reached by spaces behind the header.
    pub size_bytes: Option<usize>,
    /// The checkpoint whose goldens hold for this one.
    pub same_values_as: Option<String>,
}

/// A tensor's line in checkpoints.json.
#[derive(Deserialize)]
pub(super) struct Entry {
    pub(super) name: String,
    shape: Vec<Value>,
    #[serde(default)]
    mean: f64,
    spread: Option<f64>,
    gain: Option<f64>,
}

impl Entry {
    /// The tensor of this entry under its names; `size` knows the dimensions by their keys.
    pub(super) fn tensor(
        &self,
        plain_name: String,
        stored_name: String,
        storage: Storage,
        size: impl Fn(&str) -> usize,
    ) -> Tensor {
        let shape: Vec<usize> = self
            .shape
            .iter()
            .map(|dimension| match dimension.as_str() {
                Some(key) => size(key),
                None => dimension.as_u64().expect("a size or a key") as usize,
            })
            .collect();
        let last = shape[shape.len() - 1] as f64;
        let spread = self
            .spread
            .or_else(|| self.gain.map(|gain| gain / last.sqrt()));
        Tensor {
            stored_name,
            plain_name,
            storage,
            mean: self.mean,
            spread: spread.expect("a spread or a gain"),
            shape,
        }
    }
}

impl Checkpoint {
    /// The checkpoint of that name in checkpoints.json.
    pub fn named(name: &str) -> Self {
        let table = fixture("checkpoints.json");
        serde_json::from_value(resolve(&table["checkpoints"], name)).expect("a whole checkpoint")
    }

    /// Writes every file into `directory`; gives the sha256 of each file of weights.
    pub fn write(&self, directory: &Path) -> BTreeMap<String, String> {
        let put = |name: &str, text: &[u8]| {
            fs::write(directory.join(name), text).expect("the directory takes files");
        };
        let mut config = self.config.clone();
        config.retain(|_, value| !value.is_null());
        write_config(directory, &config);
        let vocabulary = fs::read(fixtures().join(&self.vocabulary)).expect("the vocabulary");
        put("vocab.txt", &vocabulary);
        put("tokenizer_config.json", br#"{"do_lower_case": true}"#);

        let tensors = self.tensors();
        if self.files == 1 {
            let name = "model.safetensors";
            let digest = write_safetensors(&directory.join(name), &tensors, self.size_bytes);
            return BTreeMap::from([(name.to_owned(), digest)]);
        }
        let (mut digests, mut weight_map) = (BTreeMap::new(), Map::new());
        for part in 0..self.files {
            let first = part * tensors.len() / self.files;
            let last = (part + 1) * tensors.len() / self.files;
            let file = format!("model-{:05}-of-{:05}.safetensors", part + 1, self.files);
            let shard = &tensors[first..last];
            let digest = write_safetensors(&directory.join(&file), shard, None);
            weight_map.extend(
                shard
                    .iter()
                    .map(|tensor| (tensor.stored_name.clone(), json!(file))),
            );
            digests.insert(file, digest);
        }
        let total: usize = tensors.iter().map(Tensor::size_bytes).sum();
        let index = json!({"metadata": {"total_size": total}, "weight_map": weight_map});
        put("model.safetensors.index.json", index.to_string().as_bytes());
        digests
    }

    /// Every tensor in file order: wider elements first, then by name.
    pub fn tensors(&self) -> Vec<Tensor> {
        let mut tensors = self.tensors_as_listed();
        sort_as_in_file(&mut tensors);
        tensors
    }

    /// Every tensor in the order of checkpoints.json, the embeddings first.
    pub fn tensors_as_listed(&self) -> Vec<Tensor> {
        let table = fixture("checkpoints.json");
        let mut tensors = Vec::new();
        for part in &self.parts {
            let entries: Vec<Entry> =
                serde_json::from_value(table["parts"][part].clone()).expect("a list of tensors");
            for entry in entries {
                if part == "layer" {
                    for layer in 0..self.size(&table, "num_hidden_layers") {
                        let name = format!("encoder.layer.{layer}.{}", entry.name);
                        tensors.push(self.tensor(&table, name, &entry));
                    }
                } else {
                    tensors.push(self.tensor(&table, entry.name.clone(), &entry));
                }
            }
        }
        if self.position_ids {
            tensors.push(Tensor {
                stored_name: format!("{}embeddings.position_ids", self.prefix),
                plain_name: "embeddings.position_ids".to_owned(),
                storage: Storage::I64,
                shape: vec![1, self.size(&table, "max_position_embeddings")],
                mean: 0.0,
                spread: 0.0,
            });
        }
        tensors
    }

    fn tensor(&self, table: &Value, plain_name: String, entry: &Entry) -> Tensor {
        let stored_name = self.stored_name(&plain_name);
        entry.tensor(plain_name, stored_name, self.storage, |key| {
            self.size(table, key)
        })
    }

    fn stored_name(&self, plain_name: &str) -> String {
        let prefix = if plain_name.starts_with("cls.") {
            ""
        } else {
            &self.prefix
        };
        let name = format!("{prefix}{plain_name}");
        if self.gamma_beta {
            name.replace("LayerNorm.weight", "LayerNorm.gamma")
                .replace("LayerNorm.bias", "LayerNorm.beta")
        } else {
            name
        }
    }

    /// A dimension from the config; tiny's if the config leaves it out.
    fn size(&self, table: &Value, key: &str) -> usize {
        let own = self.config.get(key).and_then(Value::as_u64);
        let size = own.or_else(|| table["checkpoints"]["tiny"]["config"][key].as_u64());
        size.expect("a dimension in config.json") as usize
    }
}

/// Wider elements first, then by name.
pub(super) fn sort_as_in_file(tensors: &mut [Tensor]) {
    tensors.sort_by(|a, b| {
        let widest_first = b.storage.item_bytes().cmp(&a.storage.item_bytes());
        widest_first.then_with(|| a.stored_name.cmp(&b.stored_name))
    });
}

/// The table's entry with everything it takes from the one it is `like` filled in.
pub(super) fn resolve(checkpoints: &Value, name: &str) -> Value {
    let own = checkpoints[name].as_object().expect("a known checkpoint");
    let Some(like) = own.get("like").and_then(Value::as_str) else {
        return checkpoints[name].clone();
    };
    let mut merged = resolve(checkpoints, like);
    for (key, value) in own {
        match (key.as_str(), value.as_object()) {
            ("config", Some(config)) => {
                for (key, value) in config {
                    merged["config"][key] = value.clone();
                }
            }
            _ => merged[key] = value.clone(),
        }
    }
    merged
}

/// `config.json` in `directory`.
pub fn write_config(directory: &Path, config: &Map<String, Value>) {
    let path = directory.join("config.json");
    fs::write(path, json!(config).to_string()).expect("config.json can be written");
}

/// Changes one key of a written config.json; null takes it out.
pub fn edit_config(directory: &Path, key: &str, value: Value) {
    let path = directory.join("config.json");
    let text = fs::read_to_string(&path).expect("a config.json");
    let mut config: Map<String, Value> = serde_json::from_str(&text).expect("an object");
    if value.is_null() {
        config.remove(key);
    } else {
        config.insert(key.to_owned(), value);
    }
    write_config(directory, &config);
}
