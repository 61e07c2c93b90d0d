//! Files damaged at random: every prefix and 1,000 flipped bytes end in an answer or a model error.

use std::fs;
use std::path::Path;

use bert_embed::error::Kind;
use safetensors::SafeTensors;
use serde_json::Value;

use super::{assert_form, load, written};
use crate::support::broken::{Checkpoint, file};

const FLIPS: usize = 1_000;

/// Whether the checkpoint is taken; whatever is not is a model error in form.
#[track_caller]
fn accepted(directory: &Path) -> bool {
    match load(directory) {
        Ok((config, tensors)) => {
            let shape = [config.vocab_size, config.hidden_size];
            let words = tensors.get("embeddings.word_embeddings.weight", &shape);
            words.expect("a checked tensor is there").to_f32();
            true
        }
        Err(error) => {
            assert_eq!(error.kind(), Kind::Model, "{error}");
            assert_form(&error.to_string());
            false
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

/// `content` with bytes of the first `reach` flipped, one at a time.
fn flipped(content: &[u8], reach: usize, mut each: impl FnMut(&[u8])) {
    let mut state = 42;
    let mut content = content.to_vec();
    for _ in 0..FLIPS {
        let at = random(&mut state) % reach;
        let before = content[at];
        content[at] ^= 1 + (random(&mut state) % 255) as u8;
        each(&content);
        content[at] = before;
    }
}

#[test]
fn every_beginning_of_a_weights_file_is_refused() {
    let directory = written(|_| ());
    let path = directory.path().join("model.safetensors");
    let whole = file(&Checkpoint::tiny().tensors);
    for bytes in 0..whole.len() {
        fs::write(&path, &whole[..bytes]).expect("written");
        assert!(!accepted(directory.path()), "{bytes} bytes");
    }
}

#[test]
fn every_beginning_of_a_config_is_refused() {
    let directory = written(|_| ());
    let path = directory.path().join("config.json");
    let whole = Value::Object(Checkpoint::tiny().config).to_string();
    for bytes in 0..whole.len() {
        fs::write(&path, &whole[..bytes]).expect("written");
        assert!(!accepted(directory.path()), "{bytes} bytes");
    }
}

#[test]
fn a_flipped_byte_of_a_config_is_an_answer_or_a_model_error() {
    let directory = written(|_| ());
    let path = directory.path().join("config.json");
    let whole = Value::Object(Checkpoint::tiny().config).to_string();
    flipped(whole.as_bytes(), whole.len(), |content| {
        fs::write(&path, content).expect("written");
        accepted(directory.path());
    });
}

#[test]
fn a_flipped_byte_of_a_header_is_taken_only_where_the_safetensors_crate_takes_it_too() {
    let directory = written(|_| ());
    let path = directory.path().join("model.safetensors");
    let whole = file(&Checkpoint::tiny().tensors);
    let header_bytes = 8 + u64::from_le_bytes(*whole.first_chunk().expect("8 bytes")) as usize;
    flipped(&whole, header_bytes, |content| {
        fs::write(&path, content).expect("written");
        let theirs = SafeTensors::read_metadata(content).is_ok();
        assert!(theirs || !accepted(directory.path()));
    });
}

#[test]
fn a_flipped_byte_of_the_weights_is_another_number_and_no_error() {
    let directory = written(|_| ());
    let path = directory.path().join("model.safetensors");
    let whole = file(&Checkpoint::tiny().tensors);
    let mut content = whole.clone();
    let last = whole.len() - 1;
    content[last] ^= 0x7f;
    fs::write(&path, &content).expect("written");
    assert!(accepted(directory.path()));
}
