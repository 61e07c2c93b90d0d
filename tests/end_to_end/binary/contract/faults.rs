//! Model files that are missing, foreign or damaged: exit code 4, one line, and never a panic.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;

use serde_json::{Value, json};

use super::Place;
use crate::support::checkpoint::edit_config;
use crate::support::command::{bert_embed, run};

/// Each flip runs the whole program; `model_files/mutations.rs` makes a thousand without it.
const FLIPS: usize = 120;

/// After `damage` in the model's directory the run ends with 4 and tells `words`.
#[track_caller]
fn assert_told(damage: impl FnOnce(&Path), words: &[&str]) {
    let place = Place::new();
    damage(&place.path().join("model"));
    let (code, stdout, stderr) = place.run(&["she"]);
    assert_eq!((code, stdout.as_str()), (4, ""), "{stderr}");
    assert_form(&stderr);
    for word in words {
        assert!(stderr.contains(word), "no `{word}` in {stderr}");
    }
}

/// `error: ` and one line, then at most one tip.
#[track_caller]
fn assert_form(stderr: &str) {
    let lines: Vec<_> = stderr.lines().collect();
    let error = lines.first().and_then(|line| line.strip_prefix("error: "));
    let error = error.unwrap_or_else(|| panic!("no error: {stderr}"));
    let lower_case = error.starts_with(|first: char| !first.is_uppercase());
    assert!(
        lower_case && !error.ends_with('.') && !error.contains("(os error"),
        "{stderr}"
    );
    assert!(
        lines.len() <= 2 && lines[1..].iter().all(|line| line.starts_with("  tip: ")),
        "{stderr}"
    );
}

#[test]
fn the_careful_words_of_a_directory_reach_the_user() {
    let place = Place::empty();
    let refused = |model: &str, words: &str| {
        let mut command = bert_embed(place.path());
        let (code, stdout, stderr) = run(command.args(["--offline", "-m", model, "she"]));
        let expected = (4, String::new(), format!("error: {words}\n"));
        assert_eq!((code, stdout, stderr), expected);
    };
    refused(
        "./nonexistent",
        "could not read the model in `./nonexistent`: it does not exist",
    );
    fs::create_dir(place.path().join("empty")).expect("created");
    refused(
        "empty",
        "there is no `config.json` in `empty`: the directory is empty",
    );
    symlink("config.json", place.path().join("empty/config.json")).expect("linked");
    refused(
        "./empty",
        "there is no `tokenizer.json` (or `vocab.txt`) in `./empty`: \
         the directory holds `config.json`",
    );
    place.write("empty/vocab.txt", "[PAD]");
    place.write("empty/model.safetensors", "");
    refused(
        "./empty",
        "could not use `./empty/config.json`: too many levels of symbolic links",
    );
}

#[test]
fn a_directory_that_is_no_checkpoint_is_named() {
    let remove = |name: &'static str| {
        move |model: &Path| fs::remove_file(model.join(name)).expect("removed")
    };
    assert_told(
        remove("config.json"),
        &["`model`", "there is no `config.json`"],
    );
    assert_told(
        remove("model.safetensors"),
        &["`model`", "model.safetensors"],
    );
    assert_told(remove("vocab.txt"), &["`model`", "vocab.txt"]);
    assert_told(
        |model| {
            fs::rename(
                model.join("model.safetensors"),
                model.join("pytorch_model.bin"),
            )
            .expect("renamed");
        },
        &["pytorch_model.bin"],
    );
    assert_told(
        |model| {
            fs::remove_dir_all(model).expect("removed");
            fs::write(model, "a file").expect("written");
        },
        &["model"],
    );
}

#[test]
fn another_kind_of_model_is_refused_by_its_name() {
    assert_told(
        |model| edit_config(model, "model_type", json!("modernbert")),
        &["modernbert", "`bert`"],
    );
    assert_told(
        |model| edit_config(model, "num_hidden_layers", json!(4)),
        &["4", "3"],
    );
    assert_told(
        |model| edit_config(model, "hidden_act", json!("silu")),
        &["silu"],
    );
}

#[test]
fn a_tokenizer_that_is_not_berts_is_refused() {
    let json = |text: &'static str| {
        move |model: &Path| fs::write(model.join("tokenizer.json"), text).expect("written")
    };
    assert_told(json("{"), &["tokenizer.json"]);
    let bpe = r#"{"version":"1.0","model":{"type":"BPE","vocab":{"a":0},"merges":[]}}"#;
    assert_told(json(bpe), &["BPE", "WordPiece"]);
    let vocabulary = |change: fn(String) -> String| {
        move |model: &Path| {
            let path = model.join("vocab.txt");
            let text = fs::read_to_string(&path).expect("a vocabulary");
            fs::write(path, change(text)).expect("written");
        }
    };
    assert_told(
        vocabulary(|text| text.replace("[CLS]", "[cls]")),
        &["`[CLS]`"],
    );
    assert_told(
        vocabulary(|text| text.replace("[UNK]", "[unk]")),
        &["`[UNK]`"],
    );
    assert_told(vocabulary(|text| text + "onemore\n"), &["164", "163"]);
}

/// The tiny checkpoint with a NaN as the last number of the tensor `name`.
fn with_nan(model: &Path, name: &str) {
    with_value(model, name, f32::NAN);
}

/// Makes `value` the last number of the tensor `name`.
pub(super) fn with_value(model: &Path, name: &str, value: f32) {
    let path = model.join("model.safetensors");
    let content = fs::read(&path).expect("read");
    let header_bytes = u64::from_le_bytes(*content.first_chunk().expect("8 bytes"));
    let header = &content[8..8 + header_bytes as usize];
    let header: Value = serde_json::from_slice(header).expect("a header");
    let end = header[name]["data_offsets"][1].as_u64().expect("an end");
    let file = File::options().write(true).open(path).expect("opened");
    file.write_all_at(&value.to_le_bytes(), 8 + header_bytes + end - 4)
        .expect("written");
}

#[test]
fn a_nan_in_the_weights_is_told_and_never_printed_as_another_number() {
    // Each meets another activation or the softmax, where a bound could swallow it.
    for name in [
        "pooler.dense.weight",
        "encoder.layer.2.intermediate.dense.weight",
        "encoder.layer.1.attention.self.key.weight",
        "encoder.layer.0.attention.self.value.bias",
        "encoder.layer.2.output.LayerNorm.bias",
    ] {
        assert_told(|model| with_nan(model, name), &["not finite", "NaN"]);
        for act in ["relu", "gelu_new"] {
            let damage = |model: &Path| {
                edit_config(model, "hidden_act", json!(act));
                with_nan(model, name);
            };
            assert_told(damage, &["not finite", "NaN"]);
        }
    }
}

/// Knuth's linear congruential generator: the same bytes on every machine.
fn random(state: &mut u64) -> usize {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

/// Flips bytes among the first `reach` of the model's file `name`, one at a time.
fn flip(name: &str, reach: impl FnOnce(&[u8]) -> usize) {
    let place = Place::new();
    let path = place.path().join("model").join(name);
    let content = fs::read(&path).expect("read");
    let reach = reach(&content);
    let file = File::options().write(true).open(&path).expect("opened");
    let mut state = 20;
    for _ in 0..FLIPS {
        let at = random(&mut state) % reach;
        let changed = content[at] ^ (1 + (random(&mut state) % 255) as u8);
        file.write_all_at(&[changed], at as u64).expect("written");
        let (code, stdout, stderr) = place.run(&["--fields", "pooler_output", "she is"]);
        assert!(
            code == 0 || code == 4,
            "byte {at} as {changed}: {code} {stderr}"
        );
        assert_eq!(stdout.is_empty(), code == 4, "byte {at} as {changed}");
        if code == 4 {
            assert_form(&stderr);
        }
        file.write_all_at(&content[at..=at], at as u64)
            .expect("written");
    }
}

#[test]
fn a_flipped_byte_of_the_config_is_an_answer_or_a_model_error() {
    flip("config.json", <[u8]>::len);
}

#[test]
fn a_flipped_byte_of_the_weights_header_is_an_answer_or_a_model_error() {
    flip("model.safetensors", |content| {
        8 + u64::from_le_bytes(*content.first_chunk().expect("8 bytes")) as usize
    });
}

#[test]
fn a_flipped_byte_anywhere_in_the_weights_is_an_answer_or_a_model_error() {
    flip("model.safetensors", <[u8]>::len);
}
