//! Vectors that become infinite although the weights and the encoder's outputs are finite.

use std::fs;

use super::faults::with_value;
use super::{Place, json_lines};

/// The sum of two such values is too large for f32. The last layer adds it, so that no other layer
/// computes with it.
const LARGE: f32 = 3e38;

const SUM: [&str; 4] = ["--layers", "-1,-1", "--layer-merge", "sum"];

fn place() -> Place {
    let place = Place::new();
    let model = place.path().join("model");
    with_value(&model, "encoder.layer.2.output.LayerNorm.bias", LARGE);
    place
}

#[test]
fn a_vector_that_is_not_finite_is_an_error_record_in_every_format() {
    let place = place();
    let cases: [(&[&str], &str); 5] = [
        (&["--fields", "hidden_states"], "hidden_states"),
        (&["--pooling", "mean", "--fields", "embedding"], "embedding"),
        (
            &[
                "--pooling",
                "cls",
                "--fields",
                "embedding",
                "--truncate-dim",
                "5",
                "--normalize",
            ],
            "embedding",
        ),
        (
            &[
                "--pooling",
                "max",
                "--fields",
                "embedding,words",
                "--word-pooling",
                "max",
            ],
            "hidden_states",
        ),
        (
            &["--word-pooling", "first", "--fields", "words"],
            "hidden_states",
        ),
    ];
    for (options, field) in cases {
        let options = [&SUM[..], options].concat();
        let (code, stdout, _) = place.run(&[&options[..], &["she", "is"]].concat());
        assert_eq!(code, 9, "{options:?}");
        let message = format!("`{field}` is not finite: a value is too large for f32");
        for (index, record) in json_lines(&stdout).iter().enumerate() {
            assert_eq!(record["index"], index);
            assert_eq!(record["error"]["message"], message, "{options:?}");
            assert!(record.get(field).is_none());
        }
    }
    let pooled = [&SUM[..], &["--pooling", "mean", "--fields", "embedding"]].concat();
    for (file, expected) in [("o.json", 9), ("o.npy", 3), ("o.safetensors", 3)] {
        let (code, _, stderr) = place.run(&[&pooled[..], &["-o", file, "she"]].concat());
        assert_eq!(code, expected, "{file}: {stderr}");
        assert!(stderr.contains("is not finite"), "{file}: {stderr}");
        assert_eq!(place.path().join(file).exists(), expected == 9, "{file}");
    }
}

#[test]
fn a_words_sum_that_is_not_finite_is_an_error_and_other_texts_have_their_vectors() {
    let place = place();
    let options = ["--word-pooling", "sum", "--fields", "index,tokens,words"];
    let (code, stdout, stderr) = place.run(&[&options[..], &["she", "bridges", "is"]].concat());
    assert_eq!(code, 9, "{stderr}");
    assert!(stderr.contains("1 of 3 texts are errors"), "{stderr}");
    let records = json_lines(&stdout);
    let tokens = records[0]["tokens"].as_array().map(Vec::len);
    assert_eq!(tokens, Some(3), "one token, so nothing is added");
    let message = "`words` is not finite: a value is too large for f32";
    assert_eq!(records[1]["error"]["message"], message);
    assert_eq!(records[2]["words"][0]["text"], "is");
}

#[test]
fn such_an_output_is_complete_for_the_same_command_with_resume() {
    let place = place();
    let run = |more: &[&str]| {
        let options = [&SUM[..], &["-o", "out.jsonl", "she", "is"], more].concat();
        place.run(&options).0
    };
    assert_eq!(run(&[]), 9);
    let before = fs::read(place.path().join("out.jsonl")).expect("the output");
    assert_eq!(run(&["--resume"]), 0);
    let after = fs::read(place.path().join("out.jsonl")).expect("the output");
    assert_eq!(before, after);
}
