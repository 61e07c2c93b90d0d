//! What a form cannot hold, and what happens to a text that has no vector.

use std::fs;
use std::process::Command;

use super::{Place, TEXTS};
use crate::support::checkpoint::Checkpoint;
use crate::support::command::run;

/// Options that are refused without a model at all, and the words.
const MISTAKES: &[(&[&str], &str)] = &[
    (
        &["-o", "x.npy"],
        "npy holds one field, pooler_output or embedding: neither is selected",
    ),
    (
        &["-o", "x.npy", "--fields", "index,pooler_output"],
        "npy holds one field, pooler_output or embedding: got index, pooler_output",
    ),
    (
        &["--format", "npy", "--fields", "last_hidden_state"],
        "npy holds one field, pooler_output or embedding: got last_hidden_state",
    ),
    (
        &[
            "-o",
            "x.npy",
            "--pooling",
            "mean",
            "--fields",
            "hidden_states",
        ],
        "npy holds one field, pooler_output or embedding: got hidden_states, embedding",
    ),
    (
        &["-o", "x.safetensors", "--fields", "input_ids,tokens"],
        "safetensors holds numeric fields only: `tokens` is not one of index, id, input_ids, token_type_ids, attention_mask, special_tokens_mask, offset_mapping, word_ids, last_hidden_state, pooler_output, hidden_states, attentions, embedding",
    ),
    (
        &["--format", "safetensors"],
        "--format safetensors needs a file: standard output is a stream",
    ),
    (
        &["--pooling", "mean", "--format", "npy"],
        "--format npy needs a file: standard output is a stream",
    ),
    (
        &["--pooling", "mean", "--format", "npy", "-o", "/dev/stdout"],
        "--format npy needs a file: standard output is a stream",
    ),
    (
        &["--float", "f16"],
        "--float f16 and --format jsonl do not go together: JSON has no f16",
    ),
    (
        &["-o", "x.csv"],
        "could not tell the format of `x.csv` by its ending: allowed are .jsonl, .jsonl.gz, .jsonl.zst, .ndjson, .ndjson.gz, .ndjson.zst, .json, .npy, .safetensors, .parquet",
    ),
    (
        &["-o", "x.json.gz"],
        "could not tell the format of `x.json.gz` by its ending: allowed are .jsonl, .jsonl.gz, .jsonl.zst, .ndjson, .ndjson.gz, .ndjson.zst, .json, .npy, .safetensors, .parquet",
    ),
    (
        &["-o", "x.zst", "--format", "json"],
        "--format json and `x.zst` do not go together: only jsonl is written as .zst",
    ),
];

#[test]
fn what_a_form_cannot_hold_is_refused_before_a_model_is_looked_for() {
    let place = Place::new();
    fs::remove_dir_all(place.path("model")).expect("removed");
    for (options, words) in MISTAKES {
        let mut all = vec!["she"];
        all.extend(*options);
        let (code, stdout, stderr) = place.run(&all);
        let lines: Vec<_> = stderr.lines().collect();
        assert_eq!((code, stdout.as_str(), lines.len()), (2, "", 2), "{stderr}");
        assert_eq!(lines[0], format!("error: {words}"));
        assert!(lines[1].starts_with("  tip: "), "{stderr}");
    }
}

#[cfg(not(feature = "parquet"))]
#[test]
fn a_build_without_parquet_says_how_to_get_it() {
    let place = Place::new();
    place.assert_refused(
        &["-o", "x.parquet", "she"],
        2,
        "error: this build has no --format parquet\n  tip: cargo build --release --features parquet, or use --format safetensors\n",
    );
}

#[test]
fn a_text_without_a_vector_ends_the_run_and_leaves_the_old_file() {
    let place = Place::new();
    place.write("in.txt", b"\xff\nshe\nlamp\n");
    for form in ["npy", "safetensors"] {
        let output = format!("out.{form}");
        place.write(&output, "old");
        place.assert_refused(
            &["-f", "in.txt", "-o", &output, "--fields", "pooler_output"],
            3,
            &format!(
                "error: text 0 has no vector, and {form} has no place for an error: could not read line 1 of `in.txt`: it is not UTF-8 at byte 1\n  tip: use --format jsonl, which records the error with each text\n"
            ),
        );
        assert_eq!(fs::read(place.path(&output)).expect("the old file"), b"old");
    }
    assert_eq!(place.names(), ["out.npy", "out.safetensors"]);
}

#[test]
fn a_checkpoint_without_pooler_has_no_pooler_output_to_write() {
    let mut checkpoint = Checkpoint::named("tiny");
    checkpoint.parts.retain(|part| part != "pooler");
    let place = Place::with(&checkpoint);
    place.assert_refused(
        &["-o", "x.npy", "--fields", "pooler_output", "she"],
        4,
        "error: could not write `pooler_output` as npy: the checkpoint has no pooler\n  tip: use --fields embedding --pooling mean\n",
    );
    let warning = "warning: the checkpoint has no pooler: pooler_output is left out\n";
    place.assert_refused(&["-o", "x.safetensors", "she"], 0, warning);
    let bytes = fs::read(place.path("x.safetensors")).expect("the file");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("a sound file");
    assert!(file.tensor("pooler_output").is_err());
}

#[test]
fn at_a_file_size_limit_the_old_file_stays_and_nothing_else_is_left() {
    let place = Place::new();
    place.write("in.txt", TEXTS.repeat(200));
    for form in ["npy", "safetensors"] {
        let output = format!("out.{form}");
        place.write(&output, "old");
        let mut command = Command::new("bash");
        command.args(["-c", "ulimit -f 20; \"$0\" --offline -m model \"$@\""]);
        command.arg(env!("CARGO_BIN_EXE_bert-embed"));
        command.args(["-f", "in.txt", "--fields", "pooler_output", "-o", &output]);
        // All texts are one batch, so that no record is kept.
        command.args(["--padding", "longest", "--batch-tokens", "100000"]);
        let (code, _, stderr) = run(command.current_dir(place.path("")));
        let words = format!("error: could not write `{output}`: file too large\n");
        assert_eq!((code, stderr), (7, words));
        assert_eq!(fs::read(place.path(&output)).expect("the old file"), b"old");
    }
    assert_eq!(place.names(), ["out.npy", "out.safetensors"]);
}
