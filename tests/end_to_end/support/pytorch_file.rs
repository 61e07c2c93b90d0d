//! Writes `pytorch_model.bin` in the forms of tests/fixtures/pytorch, which torch itself has made:
//! the committed part of each file, and between it the numbers of the formula.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::checkpoint::{Checkpoint, fixture, fixtures};
use super::formula::Storage;

/// One file of a form.
#[derive(Deserialize)]
struct Form {
    /// The file without its numbers.
    rest: String,
    sha256: String,
    /// The names in the file, for an index.
    tensors: Vec<String>,
    runs: Vec<Run>,
}

/// Numbers that lie together.
#[derive(Deserialize)]
struct Run {
    offset: usize,
    names: Vec<String>,
    dtype: Storage,
    /// The rows of the table that lies transposed.
    rows: Option<usize>,
}

/// The names of all forms.
pub fn forms() -> Vec<String> {
    let forms = fixture("pytorch/forms.json");
    forms
        .as_object()
        .expect("an object")
        .keys()
        .cloned()
        .collect()
}

/// The checkpoint whose numbers the forms hold, stored as safetensors.
pub fn twin() -> Checkpoint {
    let mut twin = Checkpoint::named("tiny");
    twin.config["num_hidden_layers"] = json!(1);
    twin
}

/// The checkpoint in `directory` with its weights in the form `name` instead of safetensors.
pub fn write_pytorch(name: &str, directory: &Path) {
    let twin = twin();
    twin.write(directory);
    fs::remove_file(directory.join("model.safetensors")).expect("removed");
    let forms = fixture("pytorch/forms.json");
    let files: BTreeMap<String, Form> =
        serde_json::from_value(forms[name].clone()).expect("a known form");
    let mut weight_map = serde_json::Map::new();
    for (file, form) in &files {
        let content = whole(form, &twin);
        let digest = Sha256::digest(&content);
        let digits = |byte: &u8| format!("{byte:02x}");
        let hex: String = digest.iter().map(digits).collect();
        assert_eq!(hex, form.sha256, "{file} is not what torch wrote");
        fs::write(directory.join(file), content).expect("written");
        weight_map.extend(form.tensors.iter().map(|name| (name.clone(), json!(file))));
    }
    if files.len() > 1 {
        let index = json!({"metadata": {}, "weight_map": weight_map}).to_string();
        fs::write(directory.join("pytorch_model.bin.index.json"), index).expect("written");
    }
}

/// The file with its numbers.
fn whole(form: &Form, twin: &Checkpoint) -> Vec<u8> {
    let rest = fs::read(fixtures().join("pytorch").join(&form.rest)).expect("a fixture");
    let (mut content, mut read) = (Vec::new(), 0);
    for run in &form.runs {
        let next = read + run.offset - content.len();
        content.extend(&rest[read..next]);
        read = next;
        content.extend(numbers(run, twin));
    }
    content.extend(&rest[read..]);
    content
}

fn numbers(run: &Run, twin: &Checkpoint) -> Vec<u8> {
    let mut bytes = Vec::new();
    for name in &run.names {
        let mut tensors = twin.tensors().into_iter();
        let mut tensor = tensors
            .find(|tensor| tensor.plain_name == *name)
            .expect("a tensor of the formula");
        tensor.storage = run.dtype;
        bytes.extend(tensor.bytes());
    }
    let items: Vec<&[u8]> = bytes.chunks(run.dtype.item_bytes()).collect();
    let columns = run.rows.map_or(1, |rows| items.len() / rows);
    let transposed = (0..columns).flat_map(|column| items.iter().skip(column).step_by(columns));
    transposed.copied().flatten().copied().collect()
}
