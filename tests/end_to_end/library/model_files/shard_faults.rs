//! Sharded checkpoints: one that is whole, and each way in which index and shards disagree.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::{assert_refused, directory, load};
use crate::support::broken::{Broken, file};

const SHARDS: [&str; 2] = [
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
];
const WORDS: &str = "bert.embeddings.word_embeddings.weight";

/// The smallest checkpoint in two shards, with `change` made to the index's `weight_map`.
fn sharded(change: impl FnOnce(&mut Map<String, Value>)) -> TempDir {
    let directory = directory();
    let checkpoint = Broken::smallest();
    checkpoint.write_config(directory.path());
    let halves = checkpoint.tensors.split_at(20);
    let mut weight_map = Map::new();
    for (shard, tensors) in SHARDS.into_iter().zip([halves.0, halves.1]) {
        fs::write(directory.path().join(shard), file(tensors)).expect("written");
        let entries = tensors
            .iter()
            .map(|tensor| (tensor.stored_name.clone(), json!(shard)));
        weight_map.extend(entries);
    }
    change(&mut weight_map);
    let index = json!({"metadata": {"total_size": 1}, "weight_map": weight_map});
    write_index(directory.path(), index.to_string().as_bytes());
    directory
}

fn write_index(directory: &Path, content: &[u8]) {
    fs::write(directory.join("model.safetensors.index.json"), content).expect("written");
}

#[test]
fn a_checkpoint_in_two_shards_is_taken() {
    let directory = sharded(|_| ());
    let (_, tensors) = load(directory.path()).expect("a checkpoint");
    let words = tensors
        .get("embeddings.word_embeddings.weight", &[5, 4])
        .expect("a tensor");
    assert_eq!(words.bytes(), Broken::smallest().tensors[0].bytes());
}

#[test]
fn a_missing_or_damaged_shard_is_named() {
    let missing = sharded(|_| ());
    fs::remove_file(missing.path().join(SHARDS[1])).expect("removed");
    assert_refused("missing", missing.path(), &[SHARDS[1], "it does not exist"]);
    let damaged = sharded(|_| ());
    fs::write(damaged.path().join(SHARDS[0]), b"1234567").expect("written");
    assert_refused("damaged", damaged.path(), &[SHARDS[0], "it has 7 bytes"]);
}

#[test]
fn a_tensor_that_its_shard_lacks_is_named_with_the_shard() {
    let directory = sharded(|map| {
        map.insert(WORDS.to_owned(), json!(SHARDS[1]));
    });
    assert_refused(
        "elsewhere",
        directory.path(),
        &[WORDS, SHARDS[1], "which does not hold it"],
    );
    let directory = sharded(|map| {
        map.remove("bert.encoder.layer.1.output.dense.bias");
    });
    let words = "no tensor `bert.encoder.layer.1.output.dense.bias`";
    assert_refused("not in the index", directory.path(), &[words]);
}

#[test]
fn a_shards_name_never_leaves_the_directory() {
    let names = [
        "../model.safetensors",
        "/etc/model.safetensors",
        "a/b.safetensors",
        "a\\b.safetensors",
        "..",
        "",
        "x\0.safetensors",
        "pytorch_model.bin",
        "a..safetensors",
    ];
    for name in names {
        let directory = sharded(|map| {
            map.insert(WORDS.to_owned(), json!(name));
        });
        assert_refused(name, directory.path(), &["index.json`", "is not allowed"]);
    }
}

#[test]
fn an_index_that_is_none_is_refused() {
    let cases: [(&[u8], &str); 7] = [
        (b"", "it is not an index of shards"),
        (b"{}", "missing field `weight_map`"),
        (b"{\"weight_map\": []}", "expected a JSON object"),
        (b"{\"weight_map\": {}}", "this is not BERT"),
        (
            b"{\"weight_map\": {\"a\": 7}}",
            "`a`: invalid type: integer `7`",
        ),
        (
            b"{\"weight_map\": {\"a\": \"x\", \"a\": \"y\"}}",
            "duplicate key `a`",
        ),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
    ];
    for (content, words) in cases {
        let directory = sharded(|_| ());
        write_index(directory.path(), content);
        assert_refused(words, directory.path(), &[words]);
    }
}
