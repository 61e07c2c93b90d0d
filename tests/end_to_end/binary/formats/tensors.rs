//! safetensors, read by the crate: every tensor is the JSON's lists laid end to end.

use std::fs;

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use super::{Place, bits, bits_of_bytes, flat};

/// Every numeric field by name.
const NUMERIC: &str = "index,input_ids,token_type_ids,attention_mask,special_tokens_mask,\
    offset_mapping,word_ids,last_hidden_state,pooler_output";

#[track_caller]
fn assert_integers(file: &SafeTensors, name: &str, shape: &[usize], expected: &[f64]) {
    let tensor = file.tensor(name).expect(name);
    assert_eq!(
        (tensor.dtype(), tensor.shape()),
        (Dtype::I64, shape),
        "{name}"
    );
    let (words, _) = tensor.data().as_chunks::<8>();
    let numbers: Vec<_> = words
        .iter()
        .map(|&word| i64::from_le_bytes(word) as f64)
        .collect();
    assert_eq!(numbers, expected, "{name}");
}

#[track_caller]
fn assert_floats(file: &SafeTensors, name: &str, shape: &[usize], expected: &[u32]) {
    let tensor = file.tensor(name).expect(name);
    assert_eq!(
        (tensor.dtype(), tensor.shape()),
        (Dtype::F32, shape),
        "{name}"
    );
    assert_eq!(bits_of_bytes(tensor.data()), expected, "{name}");
}

fn integers(records: &[Value], field: &str) -> Vec<f64> {
    records
        .iter()
        .flat_map(|record| flat(&record[field]))
        .collect()
}

fn tokens(record: &Value) -> usize {
    record["input_ids"].as_array().expect("a list").len()
}

#[test]
fn every_numeric_field_is_the_json_laid_end_to_end() {
    let place = Place::new();
    let options = ["--fields", NUMERIC, "--layers", "0,-1", "--max-length", "9"];
    let mut all = vec!["-q"];
    all.extend(options);
    let bytes = place.file("out.safetensors", &all);
    let file = SafeTensors::deserialize(&bytes).expect("a sound file");
    let records = place.records(&all);
    let total = records.iter().map(tokens).sum();
    assert_eq!(file.len(), 12);
    for field in [
        "input_ids",
        "token_type_ids",
        "attention_mask",
        "special_tokens_mask",
        "word_ids",
    ] {
        assert_integers(&file, field, &[total], &integers(&records, field));
    }
    let offset_mapping = integers(&records, "offset_mapping");
    assert_integers(&file, "offset_mapping", &[total, 2], &offset_mapping);
    for field in ["index", "dropped_tokens"] {
        assert_integers(&file, field, &[5], &integers(&records, field));
    }
    assert!(
        integers(&records, "dropped_tokens")
            .iter()
            .any(|&dropped| dropped > 0.0)
    );
    let ends = records.iter().scan(0, |end, record| {
        *end += tokens(record);
        Some(*end as f64)
    });
    let offsets: Vec<_> = std::iter::once(0.0).chain(ends).collect();
    assert_integers(&file, "offsets", &[6], &offsets);
    let rows = bits(&records, "last_hidden_state");
    assert_floats(&file, "last_hidden_state", &[total, 36], &rows);
    assert_floats(
        &file,
        "pooler_output",
        &[5, 36],
        &bits(&records, "pooler_output"),
    );
    let pooled = ["-q", "--pooling", "mean", "--max-length", "9"];
    let embeddings = place.file("pooled.safetensors", &pooled);
    let embeddings = SafeTensors::deserialize(&embeddings).expect("a sound file");
    let vectors = bits(&place.records(&pooled), "embedding");
    assert_floats(&embeddings, "embedding", &[5, 36], &vectors);
    let layer = |number: usize| {
        records
            .iter()
            .flat_map(move |record| flat(&record["hidden_states"][number]))
    };
    let layers: Vec<_> = layer(0)
        .chain(layer(1))
        .map(|number| (number as f32).to_bits())
        .collect();
    assert_floats(&file, "hidden_states", &[2, total, 36], &layers);
    assert_eq!(place.names(), ["out.safetensors", "pooled.safetensors"]);
}

#[test]
fn the_default_is_what_has_numbers_and_merged_layers_are_rows() {
    let place = Place::new();
    let options = ["--layers", "1,2,3", "--layer-merge", "concat"];
    let bytes = place.file("out.safetensors", &options);
    let file = SafeTensors::deserialize(&bytes).expect("a sound file");
    let mut names = file.names();
    names.sort_unstable();
    let expected = [
        "attention_mask",
        "dropped_tokens",
        "hidden_states",
        "index",
        "input_ids",
        "last_hidden_state",
        "offsets",
        "pooler_output",
        "token_type_ids",
    ];
    assert_eq!(names, expected);
    let records = place.records(&options);
    let total = records.iter().map(tokens).sum();
    assert_floats(
        &file,
        "hidden_states",
        &[total, 108],
        &bits(&records, "hidden_states"),
    );
}

#[test]
fn the_metadata_tell_model_and_options() {
    let place = Place::new();
    let options = [
        "--on-long",
        "window",
        "--max-length",
        "9",
        "--pooling",
        "cls",
        "--layers",
        "-1",
    ];
    let bytes = place.file("out.safetensors", &options);
    let (_, metadata) = SafeTensors::read_metadata(&bytes).expect("a sound header");
    let metadata = metadata.metadata().as_ref().expect("metadata");
    let expected = [
        ("bert_embed", env!("CARGO_PKG_VERSION")),
        ("dtype", "f32"),
        ("layer_merge", "none"),
        ("layers", "3"),
        ("max_length", "9"),
        ("model", "model"),
        ("normalize", "false"),
        ("on_long", "window"),
        ("padding", "none"),
        ("pooling", "cls"),
        ("stride", "2"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(*metadata, expected.into_iter().collect());
}

#[test]
fn no_text_is_a_file_of_empty_tensors() {
    let place = Place::new();
    place.write("in.txt", "");
    let bytes = place.file("out.safetensors", &[]);
    let file = SafeTensors::deserialize(&bytes).expect("a sound file");
    assert_integers(&file, "offsets", &[1], &[0.0]);
    assert_floats(&file, "last_hidden_state", &[0, 36], &[]);
}

#[test]
fn ids_are_bytes_laid_end_to_end() {
    let place = Place::new();
    let lines = r#"{"id":"a7","text":"she"}
{"text":"is old"}
{"id":1.50,"text":"she"}
{"id":"\u00e9","text":"lamp"}
"#;
    place.write("in.jsonl", lines);
    place.print(&["-f", "in.jsonl", "-o", "out.safetensors"]);
    let bytes = fs::read(place.path("out.safetensors")).expect("the file");
    let file = SafeTensors::deserialize(&bytes).expect("a sound file");
    let ids = file.tensor("id").expect("ids");
    assert_eq!((ids.dtype(), ids.data()), (Dtype::U8, "a71.50é".as_bytes()));
    assert_integers(&file, "id_offsets", &[5], &[0.0, 2.0, 2.0, 6.0, 8.0]);
    place.print(&[
        "-f",
        "in.jsonl",
        "-o",
        "few.safetensors",
        "--fields",
        "input_ids",
    ]);
    let bytes = fs::read(place.path("few.safetensors")).expect("the file");
    let file = SafeTensors::deserialize(&bytes).expect("a sound file");
    assert!(file.tensor("id").is_err(), "nobody asked for it");
}
