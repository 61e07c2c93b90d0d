//! Attention probabilities against transformers' eager attention in float64.

use std::fs;
use std::path::Path;

use safetensors::SafeTensors;
use serde_json::{Value, json};

use crate::support::checkpoint::{Checkpoint, fixture};
use crate::support::command::{bert_embed, parts, run_with_input};
use crate::support::goldens::{Errors, numbers};

/// A probability is 1 at most, and its relative error is that of a score, a few roundings of 1e-7.
const TOLERANCE: f64 = 1e-6;

/// The exit code, standard output and standard error of a run over `texts`, on the CPU unless the
/// options name another device.
fn run(directory: &Path, texts: &[&str], options: &[&str]) -> (i32, String, String) {
    let mut command = bert_embed(directory);
    command.env("BERT_EMBED_DEVICE", "cpu");
    command.args(["--offline", "-f", "-", "-m"]);
    command.arg(directory).args(options);
    parts(&run_with_input(&mut command, texts.join("\n").as_bytes()))
}

fn records(directory: &Path, texts: &[&str], options: &[&str]) -> Vec<Value> {
    let (code, stdout, stderr) = run(directory, texts, options);
    assert_eq!(code, 0, "{stderr}");
    let parse = |line: &str| serde_json::from_str(line).expect("a JSON record a line");
    stdout.lines().map(parse).collect()
}

/// Every number of nested lists.
fn flat(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) if values.iter().all(Value::is_number) => numbers(value),
        Value::Array(values) => values.iter().flat_map(flat).collect(),
        _ => Vec::new(),
    }
}

/// The lengths of nested lists, by their first elements.
fn shape(value: &Value) -> Vec<usize> {
    let mut shape = Vec::new();
    let mut value = value;
    while let Value::Array(values) = value {
        shape.push(values.len());
        value = &values[0];
    }
    shape
}

fn tiny() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    Checkpoint::named("tiny").write(directory.path());
    directory
}

#[test]
fn attentions_are_those_of_transformers_padding_included() {
    let (goldens, tiny) = (fixture("attentions.json"), tiny());
    let texts: Vec<&str> = goldens["texts"]
        .as_array()
        .expect("texts")
        .iter()
        .map(|text| text.as_str().expect("a text"))
        .collect();
    for device in ["cpu", "candle-cpu"] {
        let options = ["--fields", "attentions", "--padding", "longest"];
        let options = [&options[..], &["--device", device]].concat();
        let records = records(tiny.path(), &texts, &options);
        for (record, golden) in records
            .iter()
            .zip(goldens["attentions"].as_array().expect("texts"))
        {
            let attentions = &record["attentions"];
            assert_eq!(json!(shape(attentions)), goldens["shape"]);
            let mut errors = Errors::default();
            errors.add(&flat(attentions), &numbers(golden));
            assert!(
                errors.max <= TOLERANCE,
                "{device}: off by {:.2e}",
                errors.max
            );
            eprintln!("attentions, {device}: off by {:.2e} at most", errors.max);
        }
        assert_eq!(records.len(), texts.len(), "a record a text");
    }
}

/// Texts of other lengths are padded to each other on candle's devices.
#[test]
fn attentions_of_ragged_texts_are_those_of_each_text_alone() {
    let (tiny, texts) = (
        tiny(),
        ["snow and bridges", "snow", "snow and bridges of winter"],
    );
    let options = ["--fields", "attentions", "--device", "candle-cpu"];
    let together = records(tiny.path(), &texts, &options);
    for (text, record) in texts.iter().zip(&together) {
        let alone = &records(tiny.path(), &[text], &["--fields", "attentions"])[0];
        assert_eq!(shape(&record["attentions"]), shape(&alone["attentions"]));
        let mut errors = Errors::default();
        errors.add(&flat(&record["attentions"]), &flat(&alone["attentions"]));
        // Either may be off by as much.
        let allowed = 2.0 * TOLERANCE;
        assert!(errors.max <= allowed, "{text}: off by {:.2e}", errors.max);
    }
}

#[test]
fn layers_name_the_attentions_and_nothing_else_changes() {
    let tiny = tiny();
    let texts = ["snow and bridges of winter"];
    let all = &records(tiny.path(), &texts, &["--fields", "attentions"])[0]["attentions"];
    let options = [
        "--fields",
        "attentions,last_hidden_state",
        "--layers",
        "-1,1",
    ];
    let some = &records(tiny.path(), &texts, &options)[0];
    let last = all.as_array().expect("layers").len() - 1;
    assert_eq!(some["attentions"], json!([all[last], all[0]]));
    let plain = &records(tiny.path(), &texts, &["--fields", "last_hidden_state"])[0];
    assert_eq!(some["last_hidden_state"], plain["last_hidden_state"]);
    assert_eq!(some.get("hidden_states"), None, "they were not asked for");
}

#[test]
fn the_embedding_output_has_no_attentions() {
    let options = ["--fields", "attentions", "--layers", "0,1"];
    let (code, stdout, stderr) = run(tiny().path(), &["snow"], &options);
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert_eq!(
        stderr,
        "error: --layers has 0, the embedding output, which has no attentions: the first layer is 1\n"
    );
}

#[test]
fn a_text_that_needs_windows_has_no_attentions() {
    let options = [
        "--fields",
        "index,attentions",
        "--on-long",
        "window",
        "--max-length",
        "6",
    ];
    let texts = ["snow and bridges of winter", "snow"];
    let (code, stdout, _) = run(tiny().path(), &texts, &options);
    assert_eq!(code, 9);
    let lines: Vec<Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON record a line"))
        .collect();
    let message = lines[0]["error"]["message"].as_str().expect("a message");
    assert!(
        message
            .ends_with("at most 6 are allowed, and windows have no attentions of the whole text"),
        "{message}"
    );
    assert_eq!(shape(&lines[1]["attentions"])[2..], [3, 3]);
}

#[test]
fn a_safetensors_file_has_the_attentions_of_one_text_after_the_other() {
    let (tiny, texts) = (tiny(), ["snow and bridges of winter", "snow"]);
    let records = records(tiny.path(), &texts, &["--fields", "attentions"]);
    let file = tiny.path().join("out.safetensors");
    let path = file.to_str().expect("a name");
    let (code, _, stderr) = run(tiny.path(), &texts, &["--fields", "attentions", "-o", path]);
    assert_eq!(code, 0, "{stderr}");
    let bytes = fs::read(&file).expect("the file");
    let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
    let tensor = tensors.tensor("attentions").expect("attentions");
    let shapes: Vec<_> = records
        .iter()
        .map(|record| shape(&record["attentions"]))
        .collect();
    let pairs: usize = shapes.iter().map(|shape| shape[2] * shape[3]).sum();
    assert_eq!(tensor.shape(), [shapes[0][0], shapes[0][1], pairs]);
    let mut expected = Vec::new();
    for layer in 0..shapes[0][0] {
        for head in 0..shapes[0][1] {
            for record in &records {
                expected.extend(flat(&record["attentions"][layer][head]));
            }
        }
    }
    let found: Vec<f64> = tensor
        .data()
        .chunks_exact(4)
        .map(|number| f64::from(f32::from_le_bytes(number.try_into().expect("four bytes"))))
        .collect();
    let as_f32 = |numbers: &[f64]| numbers.iter().map(|&n| n as f32).collect::<Vec<_>>();
    assert_eq!(as_f32(&found), as_f32(&expected));
}
