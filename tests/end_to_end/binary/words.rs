//! Words and their vectors against transformers' `word_ids` and rows pooled in Python.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::support::checkpoint::{Checkpoint, fixture};
use crate::support::command::{bert_embed, parts, run_with_input};
use crate::support::goldens::{Errors, numbers};

/// As in `fidelity/mod.rs`: pooling in f64 adds no more than one rounding.
const TOLERANCE: f64 = 1e-5;

/// A sum adds up the errors of its rows. The hundred pieces of the longest word are the same piece
/// at neighbouring places, so their errors may have one sign; each stays below 3e-7 (measured:
/// 1.7e-7).
const SUM_TOLERANCE: f64 = 3e-5;

const POOLINGS: [&str; 5] = ["first", "last", "mean", "max", "sum"];

/// Runs the program over `inputs` and gives a record for each.
fn records(directory: &Path, inputs: &[Value], options: &[&str]) -> Vec<Value> {
    let line_of = |input: &Value| format!("{input}\n");
    let input: String = inputs.iter().map(line_of).collect();
    let mut command = bert_embed(directory);
    command.args(["--offline", "--device", "cpu", "--input-format", "jsonl"]);
    command.arg("-m").arg(directory).args(["-f", "-"]);
    let output = run_with_input(command.args(options), input.as_bytes());
    let (code, stdout, stderr) = parts(&output);
    assert_eq!(code, 0, "{stderr}");
    let parse = |line: &str| serde_json::from_str(line).expect("a JSON record a line");
    let records: Vec<Value> = stdout.lines().map(parse).collect();
    assert_eq!(records.len(), inputs.len(), "a record a text");
    records
}

/// A list of the input has an entry for each word; takes away those that have no tokens.
fn without_gaps(name: &str, input: &Value, words: &mut Vec<Value>) {
    let Some(given) = input.get("words") else {
        return;
    };
    let told: Vec<_> = words.iter().map(|word| word["text"].clone()).collect();
    assert_eq!(&json!(told), given, "{name}");
    for (number, word) in words.iter().enumerate() {
        assert_eq!(word["word"], number, "{name}");
        let has_tokens = word["tokens"][0] != word["tokens"][1];
        assert_eq!(has_tokens, word["vector"].is_array(), "{name}: {word}");
        assert!(has_tokens || word["vector"].is_null(), "{name}: {word}");
    }
    words.retain(|word| !word["vector"].is_null());
}

/// Compares one record's words with a golden's; gives how far their vectors are from it.
fn compare(name: &str, pooling: &str, words: &[Value], golden: &Value, columns: &[usize]) -> f64 {
    let golden = golden.as_array().expect("words");
    assert_eq!(words.len(), golden.len(), "{name}: as many words");
    let mut errors = Errors::default();
    for (word, golden) in words.iter().zip(golden) {
        let told =
            |word: &Value| ["text", "span", "segment", "tokens"].map(|key| word.get(key).cloned());
        assert_eq!(told(word), told(golden), "{name}");
        let vector = numbers(&word["vector"]);
        let kept: Vec<f64> = columns.iter().map(|&column| vector[column]).collect();
        errors.add(&kept, &numbers(&golden["vectors"][pooling]));
    }
    errors.max
}

#[test]
fn word_vectors_are_transformers_rows_pooled() {
    let goldens = fixture("words.json");
    let directory = tempfile::tempdir().expect("a directory");
    Checkpoint::named("tiny").write(directory.path());
    let columns: Vec<usize> = serde_json::from_value(goldens["columns"].clone()).expect("columns");
    let mut by_length: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for case in goldens["cases"].as_array().expect("a list of cases") {
        let cases = by_length.entry(case["max_length"].to_string());
        cases.or_default().push(case);
    }
    for (max_length, cases) in by_length {
        let inputs: Vec<Value> = cases.iter().map(|case| case["input"].clone()).collect();
        for pooling in POOLINGS {
            let mut options = vec!["--fields", "words", "--word-pooling", pooling];
            if max_length != "null" {
                options.extend(["--max-length", &max_length]);
            }
            let records = records(directory.path(), &inputs, &options);
            let mut worst = 0.0_f64;
            for (case, record) in cases.iter().zip(records) {
                let name = format!("{} {pooling}", case["name"]);
                let mut words = record["words"].as_array().expect("words").clone();
                without_gaps(&name, &case["input"], &mut words);
                let off = compare(&name, pooling, &words, &case["words"], &columns);
                let allowed = if pooling == "sum" {
                    SUM_TOLERANCE
                } else {
                    TOLERANCE
                };
                assert!(off <= allowed, "{name}: off by {off:.2e}");
                worst = worst.max(off);
            }
            eprintln!("{pooling}: off by {worst:.2e} at most");
        }
    }
}

/// The tokens of each word, as transformers' `word_ids` and offsets of a text have them.
fn words_of(golden: &Value) -> Vec<(Value, Value, u64)> {
    let list = |field: &str| golden[field].as_array().expect("a list").clone();
    let (ids, offsets, types) = (
        list("word_ids"),
        list("offset_mapping"),
        list("token_type_ids"),
    );
    let mut words = Vec::new();
    let mut row = 0;
    while row < ids.len() {
        let mut end = row + 1;
        while end < ids.len() && ids[end] == ids[row] {
            end += 1;
        }
        if !ids[row].is_null() {
            let span = json!([offsets[row][0], offsets[end - 1][1]]);
            let segment = types[row].as_u64().expect("a segment");
            words.push((json!([row, end]), span, segment));
        }
        row = end;
    }
    words
}

/// What stands in `span` of `text`, counted in characters.
fn slice(text: &str, span: &Value) -> String {
    let bound = |end: usize| span[end].as_u64().expect("a number") as usize;
    text.chars()
        .skip(bound(0))
        .take(bound(1) - bound(0))
        .collect()
}

#[test]
fn awkward_texts_have_transformers_words() {
    let goldens = fixture("tokens.json");
    let cases: Vec<&Value> = goldens["uncased"]["cases"]
        .as_array()
        .expect("a list of cases")
        .iter()
        .filter(|case| case.get("text").is_some())
        .collect();
    let directory = tempfile::tempdir().expect("a directory");
    Checkpoint::named("wordpiece").write(directory.path());
    let config = goldens["uncased"]["tokenizer_config"].to_string();
    fs::write(directory.path().join("tokenizer_config.json"), config).expect("it takes files");
    let keys = ["text", "text_pair"];
    let input = |case: &&Value| {
        let given = keys
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), case.get(key)?.clone())));
        Value::Object(given.collect::<Map<_, _>>())
    };
    let inputs: Vec<Value> = cases.iter().map(input).collect();
    let options = [
        "--fields",
        "words,last_hidden_state",
        "--word-pooling",
        "first",
    ];
    let mut compared = 0;
    for (case, record) in cases
        .iter()
        .zip(records(directory.path(), &inputs, &options))
    {
        let expected = words_of(&case["whole"]);
        let words = record["words"].as_array().expect("a list of words");
        assert_eq!(words.len(), expected.len(), "{}", case["name"]);
        for (word, (tokens, span, segment)) in words.iter().zip(expected) {
            let segment_text = &case[keys[segment as usize]];
            let text = slice(segment_text.as_str().expect("a text"), &span);
            assert_eq!(word["text"], text, "{}", case["name"]);
            assert_eq!(
                (&word["span"], &word["tokens"]),
                (&span, &tokens),
                "{}",
                case["name"]
            );
            assert_eq!(
                word["word"],
                case["whole"]["word_ids"][tokens[0].as_u64().expect("a row") as usize]
            );
            let pair = case.get("text_pair").is_some();
            assert_eq!(word.get("segment"), pair.then(|| json!(segment)).as_ref());
            let first = tokens[0].as_u64().expect("a row") as usize;
            assert_eq!(word["vector"], record["last_hidden_state"][first]);
            compared += 1;
        }
    }
    eprintln!("{compared} words of {} texts", cases.len());
}

#[test]
fn padding_and_truncation_leave_words_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    Checkpoint::named("tiny").write(directory.path());
    let words = |options: &[&str]| {
        let options = [options, &["--fields", "words", "--word-pooling", "sum"]].concat();
        let inputs = [json!({"words": ["old", "bridge"], "text_pair": "over it"})];
        records(directory.path(), &inputs, &options)[0]["words"].clone()
    };
    let plain = words(&[]);
    assert_eq!(words(&["--padding", "max-length"]), plain);
    let told = |key: &str| {
        let words = plain.as_array().expect("a list of words");
        words
            .iter()
            .map(|word| word[key].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(told("text"), ["old", "bridge", "over", "it"]);
    assert_eq!(told("segment"), [0, 0, 1, 1]);
    assert_eq!(
        json!(told("span")),
        json!([[0, 3], [4, 10], [0, 4], [5, 7]])
    );
    assert_eq!(
        json!(told("tokens")),
        json!([[1, 2], [2, 3], [4, 5], [5, 6]])
    );
}

#[test]
fn a_word_without_tokens_keeps_its_entry_and_is_warned_of_once() {
    let directory = tempfile::tempdir().expect("a directory");
    Checkpoint::named("tiny").write(directory.path());
    let input = [
        json!({"words": ["\u{fffd}", "old", "\u{200b}", " ", "bridge", ""], "text_pair": "over it"}),
        json!({"words": [""]}),
        json!({"words": []}),
    ];
    let lines = input.map(|line| line.to_string()).join("\n");
    let run = |options: &[&str]| {
        let mut command = bert_embed(directory.path());
        command.args(["--offline", "--input-format", "jsonl", "-m"]);
        command
            .arg(directory.path())
            .args(["-f", "-", "--word-pooling", "mean"]);
        parts(&run_with_input(command.args(options), lines.as_bytes()))
    };
    let (code, stdout, stderr) = run(&["--fields", "words"]);
    let warning = "warning: 5 of the input's words have no tokens: their `vector` is null\n";
    assert_eq!((code, stderr.as_str()), (0, warning));
    let records: Vec<Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let words = records[0]["words"].as_array().expect("words");
    let told: Vec<_> = words
        .iter()
        .map(|word| {
            let is_null = word["vector"].is_null();
            json!([
                word["word"],
                word["segment"],
                word["span"],
                word["tokens"],
                is_null
            ])
        })
        .collect();
    let expected = json!([
        [0, 0, [0, 1], [1, 1], true],
        [1, 0, [2, 5], [1, 2], false],
        [2, 0, [6, 7], [2, 2], true],
        [3, 0, [8, 9], [2, 2], true],
        [4, 0, [10, 16], [2, 3], false],
        [5, 0, [17, 17], [3, 3], true],
        [0, 1, [0, 4], [4, 5], false],
        [1, 1, [5, 7], [5, 6], false],
    ]);
    assert_eq!(json!(told), expected);
    assert_eq!(records[1]["words"].as_array().map(Vec::len), Some(1));
    assert_eq!(records[2]["words"], json!([]));
    let (code, _, stderr) = run(&["--fields", "words", "-q", "-o", "out.parquet"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let (code, stdout, stderr) = run(&["--fields", "index", "--preview"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("word"), "{stdout}");
}
