//! The operations that a GPU runs, on candle's CPU device: `--device candle-cpu`.
//!
//! The goldens and the tolerance are those of our own kernels, since the formulas are the same.

use std::path::PathBuf;

use serde_json::Value;

use super::{Subject, TOLERANCE, check_generated_on, check_subject};
use crate::support::checkpoint::Checkpoint;
use crate::support::command::{bert_embed, parts, run_with_input};
use crate::support::goldens::{Errors, Goldens, numbers};

const DEVICE: &str = "candle-cpu";

#[test]
fn candles_operations_give_what_transformers_computes() {
    for name in [
        "tiny",
        "tiny-no-pooler",
        "tiny-gelu-new",
        "tiny-relu",
        "tiny-eps",
        "tiny-f16",
        "tiny-bf16",
    ] {
        check_generated_on(DEVICE, name);
    }
}

#[test]
fn candles_operations_give_what_transformers_computes_for_base() {
    check_generated_on(DEVICE, "base");
}

/// If nothing else is selected, the last layer computes the first token of each text alone.
#[test]
fn the_first_tokens_alone_give_what_transformers_computes() {
    let directory = tempfile::tempdir().expect("a directory");
    Checkpoint::named("tiny").write(directory.path());
    let goldens = Goldens::of("tiny");
    let case = goldens.cases.iter().find(|case| case.name == "pair-batch");
    let case = case.expect("a case of pairs of several lengths");
    let mut command = bert_embed(directory.path());
    command.args(["--offline", "--device", DEVICE, "-m", "."]);
    command.args(["--input-format", "jsonl", "-f", "-"]);
    command.args(["--fields", "pooler_output", "--padding", &case.padding]);
    let (code, stdout, stderr) = parts(&run_with_input(&mut command, case.json_lines().as_bytes()));
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(stdout.lines().count(), case.records.len());
    let mut errors = Errors::default();
    for (index, line) in stdout.lines().enumerate() {
        let record: Value = serde_json::from_str(line).expect("a JSON record a line");
        let golden = goldens.array(case, index, "pooler_output");
        errors.add(&numbers(&record["pooler_output"]), &golden);
    }
    assert!(errors.max <= TOLERANCE, "off by {:.2e}", errors.max);
}

#[test]
#[ignore = "needs BERT_EMBED_MINILM: the directory that tests/fixtures/minilm.sh fills"]
fn candles_operations_give_what_transformers_computes_for_all_minilm_l6_v2() {
    let directory = std::env::var_os("BERT_EMBED_MINILM").expect("BERT_EMBED_MINILM");
    let subject = Subject {
        directory: &PathBuf::from(directory),
        device: DEVICE,
        pooler: true,
    };
    check_subject("all-MiniLM-L6-v2", subject, "all-MiniLM-L6-v2");
}
