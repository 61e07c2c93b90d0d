//! Where windows end: texts that fit, batches, pairs, and options that do not go together.

use serde_json::{Value, json};

use super::{run, text, tiny};
use crate::support::checkpoint::edit_config;

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
        json!({"index": 0, "error": {"kind": "input", "message": message, "line": 1}}),
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
            "error: --stride is 18: a window of 20 tokens has 18 of the text, so the next window would not advance\n",
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

#[test]
fn a_model_without_room_for_a_token_is_refused() {
    let directory = tiny();
    edit_config(directory.path(), "max_position_embeddings", json!(2));
    let told = "error: could not use the model: the model has 2 positions: no text fits between `[CLS]` and `[SEP]`\n";
    for how in ["truncate", "window"] {
        let refused = run(
            directory.path(),
            &[json!({"text": "a"})],
            &["--on-long", how],
        );
        assert_eq!(refused, (4, String::new(), told.to_owned()));
    }
}
