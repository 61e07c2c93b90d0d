//! The notebook that this project follows: its sentence, its tokens, the numbers it printed.
//!
//! Compares with src/app/notebook.json. The tokens need a vocabulary, which is in the fixtures; the
//! numbers need google-bert/bert-base-uncased, and where a machine has not got it the test says so.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::checkpoint::{Checkpoint, fixture};
use crate::support::command::{bert_embed, run};
use crate::support::goldens::{numbers, table};

/// The notebook printed four decimals, so a value is known to 5e-5; the rest is float32's.
const TOLERANCE: f64 = 1e-4;

/// The record that the program makes of the notebook's sentence, as the notebook padded it.
fn record(model: &Path, fields: &str) -> Value {
    let notebook = fixture("../../src/app/notebook.json");
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = bert_embed(directory.path());
    command.arg("--offline").arg("-m").arg(model);
    command.args(["--device", "cpu", "--padding", "max-length"]);
    command.args(["--max-length", &notebook["max_length"].to_string()]);
    command.args(["--fields", fields]);
    command.arg(notebook["sentence"].as_str().expect("a sentence"));
    let (code, stdout, stderr) = run(&mut command);
    assert_eq!(code, 0, "{stderr}");
    serde_json::from_str(&stdout).expect("one JSON document")
}

/// Compares tokens, ids and mask with the notebook's.
fn check_tokens(record: &Value) {
    let notebook = fixture("../../src/app/notebook.json");
    for field in ["tokens", "input_ids", "attention_mask"] {
        assert_eq!(record[field], notebook[field], "{field}");
    }
    let tokens = notebook["tokens"].as_array().expect("a list of tokens");
    assert_eq!(record["token_type_ids"], json!(vec![0; tokens.len()]));
}

/// The real weights: `BERT_EMBED_BERT_BASE`, or the snapshot that Hugging Face's tools cached.
fn bert_base() -> Option<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    if let Some(directory) = set("BERT_EMBED_BERT_BASE") {
        return Some(PathBuf::from(directory));
    }
    let home = || Some(PathBuf::from(set("HOME")?).join(".cache"));
    let cache = || set("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    let hugging_face = || Some(cache()?.join("huggingface"));
    let hf_home = || set("HF_HOME").map(PathBuf::from).or_else(hugging_face);
    let hub = match set("HF_HUB_CACHE") {
        Some(hub) => PathBuf::from(hub),
        None => hf_home()?.join("hub"),
    };
    let repository = hub.join("models--google-bert--bert-base-uncased");
    let commit = fs::read_to_string(repository.join("refs/main")).ok()?;
    let snapshot = repository.join("snapshots").join(commit.trim());
    snapshot
        .join("model.safetensors")
        .is_file()
        .then_some(snapshot)
}

#[test]
fn the_notebooks_sentence_has_its_sixteen_ids() {
    let directory = tempfile::tempdir().expect("a directory");
    Checkpoint::named("wordpiece").write(directory.path());
    let fields = "tokens,input_ids,token_type_ids,attention_mask";
    check_tokens(&record(directory.path(), fields));
}

#[test]
#[ignore = "needs google-bert/bert-base-uncased in Hugging Face's cache or in BERT_EMBED_BERT_BASE"]
fn the_notebooks_numbers_come_out_of_bert_base_uncased() {
    let model = bert_base().expect("google-bert/bert-base-uncased");
    let fields = "tokens,input_ids,token_type_ids,attention_mask,last_hidden_state,pooler_output";
    let record = record(&model, fields);
    check_tokens(&record);

    let notebook = fixture("../../src/app/notebook.json");
    let rows = table(&record["last_hidden_state"]);
    let shape = json!([1, rows.len(), rows[0].len()]);
    assert_eq!(shape, notebook["last_hidden_state_shape"]);
    let mut worst: f64 = 0.0;
    let mut compare = |ours: &[f64], printed: &[f64]| {
        for (ours, printed) in ours.iter().zip(printed) {
            let difference = (ours - printed).abs();
            assert!(
                difference <= TOLERANCE,
                "{ours} where {printed} was printed"
            );
            worst = worst.max(difference);
        }
    };
    for (index, row) in rows.iter().enumerate() {
        // The notebook printed the first three and last three values of the outer rows.
        let Some(printed) = notebook["last_hidden_state_corners"].get(index.to_string()) else {
            continue;
        };
        let corners = [&row[..3], &row[row.len() - 3..]].concat();
        compare(&corners, &numbers(printed));
    }
    let pooler_output = numbers(&record["pooler_output"]);
    let shape = json!([1, pooler_output.len()]);
    assert_eq!(shape, notebook["pooler_output_shape"]);
    compare(&pooler_output, &numbers(&notebook["pooler_output_first"]));
    eprintln!("the notebook's numbers: off by at most {worst:.1e}");
}
