//! Long texts in overlapping windows: against transformers, against plain runs, and refused.
//!
//! The checkpoint is tiny, of 131 positions; tests/fixtures/windows.py cuts and stitches by itself.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::checkpoint::{Checkpoint, fixture};
use crate::support::command::{bert_embed, parts, run_with_input};
use crate::support::goldens::{Errors, numbers, table};

/// As in `fidelity.rs`; transformers in float64 is the reference here, too.
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

/// (exit code, stdout, stderr) of a run over JSON lines.
fn run(directory: &Path, lines: &[Value], options: &[&str]) -> (i32, String, String) {
    let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let mut command = bert_embed(directory);
    command.args(["--offline", "--device", "cpu", "--input-format", "jsonl"]);
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
    let directory = tiny();
    let goldens = fixture("windows.json");
    let texts = [goldens["text"].as_str().expect("a text").to_owned()];
    let layer = goldens["layer"].to_string();
    for case in goldens["cases"].as_array().expect("a list of cases") {
        let mut options = vec!["--on-long", "window", "--layers", &layer];
        let (max_length, stride) = (case["max_length"].to_string(), case["stride"].to_string());
        if !case["stride"].is_null() {
            options.extend(["--max-length", &max_length, "--stride", &stride]);
        }
        for (pooling, vector) in [("mean", &case["mean"]), ("cls", &case["cls"])] {
            let options = [&options[..], &["--pooling", pooling]].concat();
            let record = &records(directory.path(), &texts, &options)[0];
            let name = format!("{} {pooling}", case["name"]);
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
            judge(&name, &numbers(&record["embedding"]), vector);
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
    let mut windows = vec![0..size];
    while windows[windows.len() - 1].end < words.len() {
        let start = windows.len() * step;
        windows.push(start..words.len().min(start + size));
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

#[test]
fn a_text_that_fits_is_printed_as_without_windows() {
    let directory = tiny();
    let lines = [
        json!({"text": text(18)}),
        json!({"text": ""}),
        json!({"text": text(3), "text_pair": "it works"}),
        json!({"words": ["old", "bridge"]}),
    ];
    let plain = [
        "--max-length",
        "20",
        "--pooling",
        "mean",
        "--word-pooling",
        "max",
    ];
    let windowed = [&plain[..], &["--on-long", "window"]].concat();
    let (code, stdout, _) = run(directory.path(), &lines, &plain);
    assert_eq!(code, 0);
    assert_eq!(
        run(directory.path(), &lines, &windowed),
        (0, stdout, String::new())
    );
}

#[test]
fn batches_change_no_byte_and_no_order() {
    let directory = tiny();
    let lines: Vec<Value> = [3, 200, 0, 18, 19, 700, 1, 60]
        .into_iter()
        .map(|count| json!({"text": text(count), "id": count}))
        .chain([json!(1), json!({"text": "last"})])
        .collect();
    let options = [
        "--max-length",
        "20",
        "--stride",
        "7",
        "--on-long",
        "window",
        "--batch-tokens",
    ];
    let with = |tokens: &'static str| {
        run(
            directory.path(),
            &lines,
            &[&options[..], &[tokens]].concat(),
        )
    };
    let (code, stdout, stderr) = with("1");
    assert_eq!(code, 9, "{stderr}");
    let indices = stdout.lines().map(|line| {
        let record: Value = serde_json::from_str(line).expect("a JSON record a line");
        record["index"].as_u64()
    });
    assert_eq!(
        indices.collect::<Vec<_>>(),
        (0..10).map(Some).collect::<Vec<_>>()
    );
    for tokens in ["45", "1000", "100000"] {
        assert_eq!(
            with(tokens),
            (code, stdout.clone(), stderr.clone()),
            "{tokens}"
        );
    }
}

#[test]
fn a_pair_that_does_not_fit_is_an_error_record() {
    let directory = tiny();
    let lines = [
        json!({"text": text(10), "text_pair": text(8)}),
        json!({"text": text(9), "text_pair": text(8)}),
    ];
    let options = [
        "--on-long",
        "window",
        "--max-length",
        "20",
        "--fields",
        "index",
    ];
    let (code, stdout, _) = run(directory.path(), &lines, &options);
    let message =
        "the pair has 21 tokens: at most 20 are allowed, and windows are for single texts only";
    let expected = [
        json!({"index": 0, "error": {"kind": "input", "message": message}}),
        json!({"index": 1, "dropped_tokens": 0}),
    ];
    let found: Vec<Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON record a line"))
        .collect();
    assert_eq!((code, found), (9, expected.to_vec()));
}

#[test]
fn what_does_not_go_together_is_refused() {
    let directory = tiny();
    let cases: [(&[&str], &str); 6] = [
        (
            &[
                "--on-long",
                "window",
                "--max-length",
                "20",
                "--stride",
                "18",
            ],
            "error: --stride is 18: a window of 20 tokens has 18 of the text, and the next one must begin behind its first\n",
        ),
        (
            &["--stride", "5"],
            "error: --stride needs --on-long window\n  tip: add --on-long window\n",
        ),
        (
            &["--stride", "5", "--on-long", "error"],
            "error: --stride needs --on-long window\n  tip: add --on-long window\n",
        ),
        (
            &["--on-long", "window", "--padding", "max-length"],
            "error: --padding and --on-long window do not go together: a record of several windows has more than --max-length tokens\n  tip: leave --padding out\n",
        ),
        (
            &["--on-long", "window", "--format", "json"],
            "error: --format json and --on-long window do not go together: a batch tensor needs records of one length\n  tip: use --format jsonl\n",
        ),
        (
            &["--fields", "words"],
            "error: the field `words` needs --word-pooling\n  tip: add --word-pooling mean\n",
        ),
    ];
    for (options, told) in cases {
        let refused = run(directory.path(), &[json!({"text": "a"})], options);
        assert_eq!(refused, (2, String::new(), told.to_owned()));
    }
}
