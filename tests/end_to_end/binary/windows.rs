//! Long texts in overlapping windows: against transformers and against plain runs.
//!
//! What windows leave alone, and what is refused with them, is in `windows/limits.rs`.
//! The checkpoint is tiny, of 131 positions; tests/fixtures/windows.py cuts and stitches by itself.

mod limits;

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::checkpoint::{Checkpoint, fixture};
use crate::support::command::{bert_embed, parts, run_with_input};
use crate::support::goldens::{Errors, numbers, table};

/// As in `fidelity/mod.rs`; transformers in float64 is the reference here, too.
const TOLERANCE: f64 = 1e-5;

/// Words of the tiny vocabulary, each one token.
const WORDS: [&str; 11] = [
    "river", "of", "stone", "and", "snow", "in", "the", "old", "city", "lamp", "door",
];

fn tiny() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    Checkpoint::named("tiny").write(directory.path());
    directory
}

/// `count` words of one token each, in an order that does not come again soon.
fn text(count: usize) -> String {
    let word = |place: usize| WORDS[(place * place + place / 7) % WORDS.len()];
    (0..count).map(word).collect::<Vec<_>>().join(" ")
}

/// (exit code, stdout, stderr) of a run over JSON lines, on the CPU unless the options name another
/// device.
fn run(directory: &Path, lines: &[Value], options: &[&str]) -> (i32, String, String) {
    let line_of = |line: &Value| format!("{line}\n");
    let input: String = lines.iter().map(line_of).collect();
    let mut command = bert_embed(directory);
    command.env("BERT_EMBED_DEVICE", "cpu");
    command.args(["--offline", "--input-format", "jsonl"]);
    command.arg("-m").arg(directory).args(["-f", "-"]);
    parts(&run_with_input(command.args(options), input.as_bytes()))
}

/// The records of a run in which nothing is wrong and nobody is warned.
fn records(directory: &Path, texts: &[String], options: &[&str]) -> Vec<Value> {
    let lines: Vec<Value> = texts.iter().map(|text| json!({ "text": text })).collect();
    let (code, stdout, stderr) = run(directory, &lines, options);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let parse = |line: &str| serde_json::from_str(line).expect("a JSON record a line");
    stdout.lines().map(parse).collect()
}

/// Refuses numbers that are too far from the golden's.
fn judge(what: &str, ours: &[f64], golden: &Value) {
    let mut errors = Errors::default();
    errors.add(ours, &numbers(golden));
    eprintln!("{what}: off by {:.2e} at most", errors.max);
    assert!(errors.max <= TOLERANCE, "{what}: off by {:.2e}", errors.max);
}

/// One number of every row, a column further in each, as the golden keeps them.
fn diagonal(rows: &Value) -> Vec<f64> {
    let rows = table(rows);
    let number = |(place, row): (usize, &Vec<f64>)| row[place % row.len()];
    rows.iter().enumerate().map(number).collect()
}

#[test]
fn two_thousand_tokens_are_what_transformers_windows_give() {
    check_windows("cpu");
}

#[test]
fn candles_operations_give_what_transformers_windows_give() {
    check_windows("candle-cpu");
}

fn check_windows(device: &str) {
    let directory = tiny();
    let goldens = fixture("windows.json");
    let texts = [goldens["text"].as_str().expect("a text").to_owned()];
    let layer = goldens["layer"].to_string();
    for case in goldens["cases"].as_array().expect("a list of cases") {
        let mut options = vec!["--device", device, "--on-long", "window"];
        let (max_length, stride) = (case["max_length"].to_string(), case["stride"].to_string());
        if !case["stride"].is_null() {
            options.extend(["--max-length", &max_length, "--stride", &stride]);
        }
        for (pooling, vector) in [("mean", &case["mean"]), ("cls", &case["cls"])] {
            let pooled = [&options[..], &["--pooling", pooling]].concat();
            let pooled = &records(directory.path(), &texts, &pooled)[0];
            let options = [&options[..], &["--layers", &layer]].concat();
            let record = &records(directory.path(), &texts, &options)[0];
            let name = format!("{device} {} {pooling}", case["name"]);
            assert_eq!(record["input_ids"], goldens["input_ids"], "{name}");
            assert_eq!(record["dropped_tokens"], 0, "{name}");
            for field in ["last_hidden_state", "hidden_states"] {
                let rows = &record[field];
                let rows = if field == "hidden_states" {
                    &rows[0]
                } else {
                    rows
                };
                judge(&format!("{name} {field}"), &diagonal(rows), &case[field]);
            }
            let pooler_output = numbers(&record["pooler_output"]);
            judge(&name, &pooler_output, &case["pooler_output"]);
            judge(&name, &numbers(&pooled["embedding"]), vector);
        }
    }
}

/// Runs the text of every window by itself and gives, for each row of the whole record, the row of
/// the window where it is furthest from the nearer edge.
fn rows_of_plain_runs(
    directory: &Path,
    text: &str,
    max_length: usize,
    stride: usize,
) -> Vec<Value> {
    let words: Vec<&str> = text.split(' ').collect();
    let (size, step) = (max_length - 2, max_length - 2 - stride);
    let mut windows = Vec::new();
    let mut end = 0;
    while end < words.len() {
        let start = windows.len() * step;
        end = words.len().min(start + size);
        windows.push(start..end);
    }
    let text_of = |window: &std::ops::Range<usize>| words[window.clone()].join(" ");
    let texts: Vec<String> = windows.iter().map(text_of).collect();
    let plain = records(directory, &texts, &[]);
    let row = |window: usize, row: usize| plain[window]["last_hidden_state"][row].clone();
    let mut rows = vec![row(0, 0)];
    for word in 0..words.len() {
        let context = |window: usize| {
            let range = &windows[window];
            let inside = range.contains(&word);
            inside.then(|| (word - range.start).min(range.end - 1 - word))
        };
        // The last of equals, going backwards, is the earliest.
        let best = (0..windows.len())
            .rev()
            .max_by_key(|&window| context(window));
        let best = best.expect("a window");
        rows.push(row(best, 1 + word - windows[best].start));
    }
    let last = windows.len() - 1;
    rows.push(row(last, windows[last].len() + 1));
    rows
}

#[test]
fn every_row_has_the_bits_of_a_plain_run_of_its_window() {
    let directory = tiny();
    let text = text(500);
    for (max_length, stride) in [(131, 32), (40, 25), (24, 0)] {
        let (length, shared) = (max_length.to_string(), stride.to_string());
        let options = [
            "--on-long",
            "window",
            "--max-length",
            &length,
            "--stride",
            &shared,
        ];
        let record = &records(directory.path(), std::slice::from_ref(&text), &options)[0];
        let tokens: Vec<&str> = ["[CLS]"]
            .into_iter()
            .chain(text.split(' '))
            .chain(["[SEP]"])
            .collect();
        assert_eq!(record["tokens"], json!(tokens));
        let rows = rows_of_plain_runs(directory.path(), &text, max_length, stride);
        assert_eq!(record["last_hidden_state"], json!(rows));
    }
}

#[test]
fn every_field_is_the_whole_texts() {
    let directory = tiny();
    let options = [
        "--on-long",
        "window",
        "--max-length",
        "20",
        "--word-pooling",
        "first",
    ];
    let fields = "index,tokens,token_type_ids,attention_mask,special_tokens_mask,offset_mapping,word_ids,words,last_hidden_state,hidden_states";
    let options = [&options[..], &["--fields", fields, "--layers", "-1"]].concat();
    let record = &records(directory.path(), &[text(100)], &options)[0];
    let ends = |inner: u8| {
        (0..102)
            .map(|row| if row % 101 == 0 { 1 } else { inner })
            .collect::<Vec<_>>()
    };
    assert_eq!(record["special_tokens_mask"], json!(ends(0)));
    assert_eq!(record["attention_mask"], json!(ends(1)));
    assert_eq!(record["token_type_ids"], json!(vec![0; 102]));
    assert_eq!(record["word_ids"][100], 99);
    let words = record["words"].as_array().expect("a list of words");
    assert_eq!(words.len(), 100);
    for (number, word) in words.iter().enumerate() {
        let row = number + 1;
        assert_eq!(word["text"], record["tokens"][row]);
        assert_eq!(word["span"], record["offset_mapping"][row]);
        assert_eq!(word["tokens"], json!([row, row + 1]));
        assert_eq!(word["vector"], record["last_hidden_state"][row]);
    }
    assert_eq!(record["hidden_states"][0], record["last_hidden_state"]);
}
