//! Layers that are chosen or merged, and then pooled, against transformers in float64
//! (tests/fixtures/layers.py).

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::checkpoint::{Checkpoint, fixture};
use crate::support::command::{bert_embed, run};
use crate::support::goldens::numbers;

/// As in `fidelity/mod.rs`; a sum of three layers has three times the error.
const TOLERANCE: f64 = 1e-5;
const SUM_TOLERANCE: f64 = 3e-5;

#[derive(Deserialize)]
struct Goldens {
    columns: Vec<i64>,
    texts: Vec<String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    /// As typed for `--layers`.
    name: String,
    merge: String,
    texts: Vec<Vectors>,
}

#[derive(Deserialize)]
struct Vectors {
    embedding: Value,
    words: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    width: usize,
    numbers: Vec<f64>,
}

fn tiny() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    Checkpoint::named("tiny").write(directory.path());
    directory
}

fn records(model: &Path, texts: &[String], options: &[&str]) -> Vec<Value> {
    let mut command = bert_embed(model);
    command.args(["--offline", "--device", "cpu", "-m", "."]);
    let (code, stdout, stderr) = run(command.args(options).args(texts));
    assert_eq!((code, stderr.as_str()), (0, ""), "{options:?}");
    let parse = |line| serde_json::from_str(line).expect("a record");
    stdout.lines().map(parse).collect()
}

#[track_caller]
fn assert_close(found: &Value, expected: &Vector, columns: &[i64], limit: f64, name: &str) {
    let found = numbers(found);
    assert_eq!(found.len(), expected.width, "{name}");
    // -1 is the last.
    for (&column, expected) in columns.iter().zip(&expected.numbers) {
        let last = found.len() - 1;
        let column = usize::try_from(column).unwrap_or(last);
        let error = (found[column] - expected).abs();
        assert!(error <= limit, "{name}: off by {error:.2e}");
    }
}

#[test]
fn the_chosen_or_merged_layers_are_what_is_pooled() {
    let goldens: Goldens = serde_json::from_value(fixture("layers.json")).expect("the goldens");
    let tiny = tiny();
    for case in &goldens.cases {
        let limit = if case.merge == "sum" {
            SUM_TOLERANCE
        } else {
            TOLERANCE
        };
        for pooling in ["cls", "mean", "max"] {
            let mut options = vec!["--fields", "embedding", "--pooling", pooling];
            options.extend(["--word-pooling", "mean", "--layers", &case.name]);
            options.extend(["--layer-merge", &case.merge]);
            let name = format!("{options:?}");
            let records = records(tiny.path(), &goldens.texts, &options);
            for (record, expected) in records.iter().zip(&case.texts) {
                assert!(record.get("hidden_states").is_none(), "{name}");
                let embedding = expected.embedding[pooling].clone();
                let embedding = serde_json::from_value(embedding).expect("a vector");
                let columns = &goldens.columns;
                assert_close(&record["embedding"], &embedding, columns, limit, &name);
                let words = record["words"].as_array().expect("words");
                assert_eq!(words.len(), expected.words.len(), "{name}");
                for (word, expected) in words.iter().zip(&expected.words) {
                    assert_close(&word["vector"], expected, columns, limit, &name);
                }
            }
        }
    }
}

#[test]
fn merged_layers_of_a_long_text_in_windows_are_its_tokens_merged_and_pooled() {
    let tiny = tiny();
    let texts = ["the old clock in the river town ".repeat(9)];
    let mut options = vec!["--layers", "1,3", "--layer-merge", "concat"];
    options.extend(["--on-long", "window", "--max-length", "12", "--stride", "4"]);
    let rows = &records(tiny.path(), &texts, &options)[0]["hidden_states"];
    let rows: Vec<Vec<f64>> = rows.as_array().expect("rows").iter().map(numbers).collect();
    options.extend(["--pooling", "mean", "--fields", "embedding"]);
    let pooled = numbers(&records(tiny.path(), &texts, &options)[0]["embedding"]);
    assert_eq!(pooled.len(), 72);
    for (column, found) in pooled.iter().enumerate() {
        let sum: f64 = rows.iter().map(|row| row[column]).sum();
        let mean = sum / rows.len() as f64;
        // One rounding to f32 of values below 4.
        assert!((mean - found).abs() <= 2e-7, "{column}: {mean} {found}");
    }
}

#[test]
fn layer_0_has_hidden_states_and_no_attentions() {
    let tiny = tiny();
    let both = ["--fields", "hidden_states,attentions", "--layers"];
    for (typed, hidden_states, attentions) in [("all", 4, 3), ("0,2", 2, 1), ("0-1", 2, 1)] {
        let options = [&both[..], &[typed]].concat();
        let record = &records(tiny.path(), &["snow".to_owned()], &options)[0];
        let layers = |field: &str| record[field].as_array().map(Vec::len);
        assert_eq!(layers("hidden_states"), Some(hidden_states), "{typed}");
        assert_eq!(layers("attentions"), Some(attentions), "{typed}");
    }
    let options = ["--fields", "attentions", "--layers", "all"];
    let all = records(tiny.path(), &["snow".to_owned()], &options);
    let default = records(tiny.path(), &["snow".to_owned()], &options[..2]);
    assert_eq!(all, default);
}
