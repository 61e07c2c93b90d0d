//! Files damaged at random: every prefix and 1,000 flipped bytes end in an answer or a model error.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use bert_embed::error::Kind;
use safetensors::SafeTensors;

use super::{assert_form, directory, load, written};
use crate::support::pytorch_file::write_pytorch;

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

/// The file `name` of the smallest checkpoint and its bytes.
///
/// The tests change it in place: ext4 flushes a file to the disk when it is written anew, which
/// would be a thousand times slower.
fn opened(directory: &Path, name: &str) -> (File, Vec<u8>) {
    let path = directory.join(name);
    let content = fs::read(&path).expect("read");
    let file = File::options().write(true).open(path);
    (file.expect("opened"), content)
}

/// 500 bytes flipped and 500 beginnings of a `pytorch_model.bin` in the form `name`: a third of
/// them in the first 8 KB and a third in the last, where everything but the numbers lies.
fn damaged_pickles_are_an_answer_or_a_model_error(name: &str) {
    let directory = directory();
    write_pytorch(name, directory.path());
    let (file, whole) = opened(directory.path(), "pytorch_model.bin");
    let mut state = 7;
    let mut taken = 0;
    for count in 0..500 {
        let ends = 8192;
        let at = match count % 3 {
            0 => random(&mut state) % ends,
            1 => whole.len() - ends + random(&mut state) % ends,
            _ => random(&mut state) % whole.len(),
        };
        let byte = whole[at] ^ (1 + (random(&mut state) % 255) as u8);
        file.write_all_at(&[byte], at as u64).expect("written");
        taken += usize::from(accepted(directory.path()));
        file.write_all_at(&whole[at..=at], at as u64)
            .expect("written");
        file.set_len(at as u64).expect("cut");
        let only_padding = whole[at..].iter().all(|&byte| byte == 0);
        assert!(!accepted(directory.path()) || only_padding, "{at} bytes");
        file.set_len(whole.len() as u64).expect("as long as before");
        file.write_all_at(&whole[at..], at as u64).expect("written");
    }
    assert!(
        taken > 50,
        "a flipped number is only another number: {taken}"
    );
    assert!(accepted(directory.path()));
}

#[test]
fn a_damaged_pickle_of_the_zip_form_is_an_answer_or_a_model_error() {
    damaged_pickles_are_an_answer_or_a_model_error("zip-views");
}

#[test]
fn a_damaged_pickle_of_the_legacy_form_is_an_answer_or_a_model_error() {
    damaged_pickles_are_an_answer_or_a_model_error("legacy-views");
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
