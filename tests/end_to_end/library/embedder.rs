//! The library against the command: from the same options and texts, the same records.

use std::fs;
use std::path::Path;

use bert_embed::error::Kind;
use bert_embed::{Embedder, Options, Segment, Text};
use clap::Parser;
use serde_json::json;

use crate::support::checkpoint::Checkpoint;
use crate::support::command::{bert_embed, parts, run_with_input};

#[derive(Parser)]
struct Typed {
    #[command(flatten)]
    options: Options,
}

/// The options as the command reads them.
pub fn options(typed: &[&str]) -> Options {
    let device = ["bert-embed", "--device", "cpu"];
    let typed = Typed::try_parse_from(device.iter().chain(typed));
    typed.expect("options").options
}

/// `texts` through the library and through the command are the same lines.
#[track_caller]
fn assert_same_records(model: &Path, typed: &[&str], texts: &[Text]) {
    let name = model.to_str().expect("UTF-8");
    let embedder = Embedder::load(name, &options(typed)).expect("a model");
    let records = embedder.embed(texts.iter().cloned()).expect("records");
    let line = |record| serde_json::to_string(record).expect("JSON") + "\n";
    let of_the_library: String = records.iter().map(line).collect();

    let json = |text: &Text| match &text.first {
        Segment::Text(first) => json!({"text": first, "text_pair": text.pair}),
        Segment::Words(words) => json!({"words": words}),
    };
    let line = |text: &Text| format!("{}\n", json(text));
    let input: String = texts.iter().map(line).collect();
    let mut command = bert_embed(model);
    command.args(["--device", "cpu", "-q", "--errors-ok", "-m", "."]);
    command
        .args(["--input-format", "jsonl", "-f", "-"])
        .args(typed);
    let (code, stdout, stderr) = parts(&run_with_input(&mut command, input.as_bytes()));
    assert_eq!((code, stderr.as_str()), (0, ""), "{typed:?}");
    // Only texts of a file have lines.
    let without_lines = (1..=texts.len()).fold(stdout, |stdout, line| {
        stdout.replace(&format!(",\"line\":{line}}}"), "}")
    });
    assert_eq!(of_the_library, without_lines, "{typed:?}");
}

fn texts() -> Vec<Text> {
    let mut pair = Text::new("which river".to_owned());
    pair.pair = Some("the stone bridge over the river".to_owned());
    let long = "she saw the old stone bridge ".repeat(8);
    vec!["she saw the river".into(), "".into(), pair, long.into()]
}

#[test]
fn the_records_are_those_that_the_command_prints() {
    let directory = tempfile::tempdir().expect("a directory");
    Checkpoint::named("tiny").write(directory.path());
    for typed in [
        &[][..],
        &["--pooling", "mean", "--normalize"],
        &[
            "--fields",
            "index,tokens,offset_mapping,embedding",
            "--pooling",
            "cls",
        ],
        &[
            "--fields",
            "hidden_states,pooler_output",
            "--layers",
            "-1,0",
        ],
        &["--max-length", "12", "--on-long", "window", "--stride", "3"],
        &["--max-length", "12", "--on-long", "error"],
        &[
            "--padding",
            "longest",
            "--fields",
            "input_ids,attention_mask",
        ],
        &["--prompt", "query: ", "--pooling", "mean"],
        &["--dtype", "int8", "--batch-tokens", "16"],
    ] {
        assert_same_records(directory.path(), typed, &texts());
    }
}

#[test]
fn a_model_in_a_folder_of_its_own_is_pooled_as_the_files_above_it_say() {
    let directory = tempfile::tempdir().expect("a directory");
    let folder = directory.path().join("0_Transformer");
    fs::create_dir(&folder).expect("created");
    Checkpoint::named("tiny").write(&folder);
    let module = |path: &str, class: &str| {
        let class = format!("sentence_transformers.models.{class}");
        json!({"path": path, "type": class})
    };
    let modules = json!([
        module("0_Transformer", "Transformer"),
        module("1_Pooling", "Pooling")
    ]);
    fs::write(directory.path().join("modules.json"), modules.to_string()).expect("written");
    fs::create_dir(directory.path().join("1_Pooling")).expect("created");
    let pooling = json!({"pooling_mode": "max"}).to_string();
    fs::write(directory.path().join("1_Pooling/config.json"), pooling).expect("written");
    assert_same_records(directory.path(), &["--pooling", "model"], &texts());
}

#[test]
fn what_the_command_refuses_the_library_refuses_in_the_same_words() {
    let typed = options(&["--fields", "embedding"]);
    let error = Embedder::load("tests/fixtures/sample", &typed).err();
    let error = error.expect("refused");
    assert_eq!(error.kind(), Kind::Usage);
    assert_eq!(error.to_string(), "the field `embedding` needs --pooling");
}
