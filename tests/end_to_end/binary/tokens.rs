//! The program's tokens against transformers' fast `BertTokenizer`, on texts made to go wrong.
//!
//! Compares with tests/fixtures/tokens.json; everything must be equal. The model is three matrices
//! thin, because only its vocabulary matters here.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::support::checkpoint::{Checkpoint, fixture};
use crate::support::command::{bert_embed, parts, run_with_input};

/// The fields compared, as the JSON and transformers both name them.
const FIELDS: [&str; 7] = [
    "tokens",
    "input_ids",
    "token_type_ids",
    "attention_mask",
    "special_tokens_mask",
    "offset_mapping",
    "word_ids",
];

/// Runs the program over `cases` with more `options`, and gives a record for each.
fn records(directory: &Path, cases: &[&Value], options: &[&str]) -> Vec<Value> {
    if cases.is_empty() {
        return Vec::new();
    }
    let line = |case: &&Value| {
        let keys = ["text", "text_pair", "words"];
        let given = keys.iter().filter_map(|key| Some((*key, case.get(*key)?)));
        let input: Map<String, Value> = given.map(|(k, v)| (k.to_owned(), v.clone())).collect();
        format!("{}\n", json!(input))
    };
    let input: String = cases.iter().map(line).collect();
    let mut command = bert_embed(directory);
    command.args(["--offline", "--input-format", "jsonl", "-f", "-"]);
    command.arg("-m").arg(directory);
    command.args(["--device", "cpu", "--fields", &FIELDS.join(",")]);
    let output = run_with_input(command.args(options), input.as_bytes());
    let (code, stdout, stderr) = parts(&output);
    assert_eq!(code, 0, "{stderr}");
    let parse = |line: &str| serde_json::from_str(line).expect("a JSON record a line");
    let records: Vec<Value> = stdout.lines().map(parse).collect();
    assert_eq!(records.len(), cases.len(), "a record a text");
    records
}

/// The fields in which a record is not what transformers gives, told one a line.
fn differences(case: &Value, record: &Value, golden: &Value, dropped: &Value) -> Vec<String> {
    let name = case["name"].as_str().expect("a name");
    let mut told = Vec::new();
    for field in FIELDS {
        // transformers counts the offsets of words given one by one from each word's start.
        if field == "offset_mapping" && case.get("words").is_some() {
            continue;
        }
        let (ours, theirs) = (&record[field], &golden[field]);
        if ours != theirs {
            told.push(format!(
                "{name}: {field}\n  ours   {ours}\n  theirs {theirs}"
            ));
        }
    }
    if record["dropped_tokens"] != *dropped {
        let ours = &record["dropped_tokens"];
        told.push(format!("{name}: dropped_tokens {ours}, not {dropped}"));
    }
    told
}

/// Compares one kind of tokenizer, whole and cut.
fn check(kind: &str) {
    let goldens = fixture("tokens.json");
    let config = &goldens[kind]["tokenizer_config"];
    let directory = tempfile::tempdir().expect("a directory");
    Checkpoint::named("wordpiece").write(directory.path());
    let path = directory.path().join("tokenizer_config.json");
    fs::write(path, config.to_string()).expect("the directory takes files");

    let list = goldens[kind]["cases"].as_array().expect("a list of cases");
    let cases: Vec<&Value> = list.iter().collect();
    let mut told = Vec::new();
    for (case, record) in cases.iter().zip(records(directory.path(), &cases, &[])) {
        told.extend(differences(case, &record, &case["whole"], &json!(0)));
    }
    let is_cut = |case: &&Value| case.get("cut").is_some_and(Value::is_object);
    let cut: Vec<&Value> = cases.iter().copied().filter(is_cut).collect();
    let max_length = goldens["max_length"].to_string();
    let options = ["--max-length", &max_length, "--on-long", "truncate"];
    for (case, record) in cut.iter().zip(records(directory.path(), &cut, &options)) {
        let golden = &case["cut"];
        told.extend(differences(
            case,
            &record,
            golden,
            &golden["dropped_tokens"],
        ));
    }
    eprintln!("{kind}: {} whole and {} cut texts", cases.len(), cut.len());
    assert!(
        told.is_empty(),
        "{} differ:\n{}",
        told.len(),
        told.join("\n")
    );
}

#[test]
fn uncased_tokens_are_those_of_transformers() {
    check("uncased");
}

#[test]
fn do_lower_case_false_keeps_capitals_and_accents() {
    check("cased");
}

#[test]
fn strip_accents_false_keeps_accents_in_lower_case() {
    check("accents");
}

#[test]
fn tokenize_chinese_chars_false_leaves_them_together() {
    check("chinese");
}
