//! The dry run: its counts by hand, its sizes by the files that the run writes.

use std::fs;

use serde_json::{Value, json};

use super::Place;

fn report(place: &Place, options: &[&str]) -> Value {
    let mut all = vec!["--dry-run", "--format", "json"];
    all.extend(options);
    serde_json::from_str(&place.print(&all)).expect("one JSON object")
}

#[test]
fn it_counts_without_weights() {
    let place = Place::new();
    fs::remove_file(place.path("model/model.safetensors")).expect("removed");
    // With `[CLS]` and `[SEP]`: 3 four times and 5, 7, 9, 11, …, 37.
    let words = |count: usize| format!("{}\n", "old ".repeat(count));
    let counts = [1; 4].into_iter().chain((3..36).step_by(2));
    place.write("in.txt", counts.map(words).collect::<String>());
    let report = report(&place, &["-f", "in.txt", "--max-length", "35"]);
    let tokens = json!({"total": 12 + 357, "median": 17, "percentile_95": 35, "longest": 37});
    assert_eq!(report["tokens"], tokens);
    let rest = [
        "records",
        "errors",
        "max_length",
        "texts_too_long",
        "dropped_tokens",
    ];
    assert_eq!(
        rest.map(|name| report[name].as_u64()),
        [21, 0, 35, 1, 2].map(Some)
    );
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn sizes_are_those_of_the_files() {
    let place = Place::new();
    place.write(
        "in.jsonl",
        "{\"id\":\"abc\",\"text\":\"she is old\"}\n{\"text\":\"lamp\"}\n{\"id\":12,\"text\":\"snow\"}\n",
    );
    let options = ["-f", "in.jsonl", "-o", "ids.safetensors", "--float", "f16"];
    let told = report(&place, &options)["size_bytes"].clone();
    place.print(&options);
    let file = fs::read(place.path("ids.safetensors")).expect("the file");
    assert_eq!(told, file.len());
    let cases: [&[&str]; 4] = [
        &["--pooling", "mean", "--fields", "embedding"],
        &["--fields", "pooler_output"],
        &[
            "--fields",
            "input_ids,last_hidden_state,word_ids",
            "--layers",
            "0,1",
        ],
        &["--fields", "last_hidden_state", "--padding", "longest"],
    ];
    for options in cases {
        let mut all = vec!["-f", "in.txt"];
        all.extend(options);
        let told = |output: &str| {
            let report = report(&place, &[&all[..], &["-o", output]].concat());
            assert_eq!(report["format"], output.trim_start_matches("out."));
            report["size_bytes"].clone()
        };
        let size = |output: &str| place.file(output, options).len() as u64;
        let output = "out.safetensors";
        assert_eq!(told(output), size(output), "{options:?}");
        if options[1] != "input_ids,last_hidden_state,word_ids" && options[1] != "last_hidden_state"
        {
            assert_eq!(told("out.npy"), size("out.npy"), "{options:?}");
        }
        // One document does not repeat the fields' names, and these vectors are short.
        for (form, limit) in [("jsonl", 0.15), ("json", 0.3)] {
            let output = format!("out.{form}");
            let told = told(&output).as_f64().expect("a size");
            let size = size(&output) as f64;
            let off = (told / size - 1.0).abs();
            assert!(off < limit, "{form} {options:?}: {told} for {size}");
        }
    }
}

#[test]
fn errors_are_counted_and_end_with_9() {
    let place = Place::new();
    place.write("in.txt", b"she\n\xff\nold old old\n");
    let (code, stdout, stderr) = place.run(&["--dry-run", "-f", "in.txt"]);
    let summary = "warning: 1 of 3 texts would be errors, the first: text 1: could not read line 2 of `in.txt`: it is not UTF-8 at byte 1\n";
    assert_eq!((code, stderr.as_str()), (9, summary));
    assert!(
        stdout.contains("\nrecords      3\nerrors       1\n"),
        "{stdout}"
    );
    let options = [
        "--dry-run",
        "-f",
        "in.txt",
        "--on-long",
        "error",
        "--max-length",
        "4",
    ];
    let (_, stdout, _) = place.run(&options);
    assert!(stdout.contains("\nerrors       2\n"), "{stdout}");
    assert!(
        stdout.contains("\ntoo long     1 over 4 tokens: errors\n"),
        "{stdout}"
    );
}

#[test]
fn the_report_is_text_for_people() {
    let place = Place::new();
    let options = [
        "--dry-run",
        "--max-length",
        "6",
        "--fields",
        "pooler_output",
        "--format",
        "npy",
    ];
    let mut all = options.to_vec();
    all.extend(["she", "river of stone and snow"]);
    let report = place.print(&all);
    let lines: Vec<_> = report.lines().collect();
    let expected = [
        "model        model",
        "records      2",
        "errors       0",
        "tokens       10 (per text: median 3, 95th percentile 7, longest 7)",
        "too long     1 over 6 tokens: truncated, tokens dropped: 1",
        "npy          416 bytes, 0.4 KiB (exact)",
    ];
    assert_eq!(lines, expected);
}
