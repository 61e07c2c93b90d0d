//! Files damaged at random: every prefix and 1,000 flipped bytes end in an answer or a model error.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use bert_embed::error::Kind;
use safetensors::SafeTensors;

use super::{assert_form, load, written};

const FLIPS: usize = 1_000;

/// Whether the checkpoint is taken; whatever is not is a model error in form.
#[track_caller]
fn accepted(directory: &Path) -> bool {
    match load(directory) {
        Ok((config, tensors)) => {
            let shape = [config.vocab_size, config.hidden_size];
            let words = tensors.get("embeddings.word_embeddings.weight", &shape);
            let words = words.expect("a checked tensor is there");
            assert_eq!(words.to_f32().len(), shape[0] * shape[1]);
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

/// The file `name` of the tiny checkpoint and its bytes.
///
/// The tests change it in place: ext4 flushes a file to the disk when it is written anew, which would
/// be a thousand times slower.
fn opened(directory: &Path, name: &str) -> (File, Vec<u8>) {
    let path = directory.join(name);
    let content = fs::read(&path).expect("read");
    let file = File::options().write(true).open(path);
    (file.expect("opened"), content)
}

/// Every beginning of the file, the longest first, is refused.
fn every_beginning_is_refused(name: &str) {
    let directory = written(|_| ());
    let (file, whole) = opened(directory.path(), name);
    for bytes in (0..whole.len()).rev() {
        file.set_len(bytes as u64).expect("cut");
        assert!(!accepted(directory.path()), "{bytes} bytes");
    }
}

/// One byte of the file's first `reach` flipped, `FLIPS` times; `each` sees the changed bytes.
fn flipped(directory: &Path, name: &str, reach: usize, each: impl Fn(&[u8])) {
    let (file, mut content) = opened(directory, name);
    let mut state = 42;
    for _ in 0..FLIPS {
        let at = random(&mut state) % reach;
        let before = content[at];
        content[at] ^= 1 + (random(&mut state) % 255) as u8;
        file.write_all_at(&content[at..=at], at as u64)
            .expect("written");
        each(&content);
        content[at] = before;
        file.write_all_at(&[before], at as u64).expect("written");
    }
}

#[test]
fn every_beginning_of_a_weights_file_is_refused() {
    every_beginning_is_refused("model.safetensors");
}

#[test]
fn every_beginning_of_a_config_is_refused() {
    every_beginning_is_refused("config.json");
}

#[test]
fn a_flipped_byte_of_a_config_is_an_answer_or_a_model_error() {
    let directory = written(|_| ());
    let (_, whole) = opened(directory.path(), "config.json");
    flipped(directory.path(), "config.json", whole.len(), |_| {
        accepted(directory.path());
    });
}

#[test]
fn a_flipped_byte_of_a_header_is_taken_only_where_the_safetensors_crate_takes_it_too() {
    let directory = written(|_| ());
    let (_, whole) = opened(directory.path(), "model.safetensors");
    let header_bytes = 8 + u64::from_le_bytes(*whole.first_chunk().expect("8 bytes")) as usize;
    flipped(
        directory.path(),
        "model.safetensors",
        header_bytes,
        |content| {
            let theirs = SafeTensors::read_metadata(content).is_ok();
            assert!(!accepted(directory.path()) || theirs);
        },
    );
}

#[test]
fn a_flipped_byte_of_the_weights_is_another_number_and_no_error() {
    let directory = written(|_| ());
    let (file, whole) = opened(directory.path(), "model.safetensors");
    file.write_all_at(&[0xff; 4], whole.len() as u64 - 4)
        .expect("written");
    assert!(accepted(directory.path()));
}
