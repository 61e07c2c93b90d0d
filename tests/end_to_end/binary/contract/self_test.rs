//! `--self-test`: what it says, and how it ends.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::Place;
use crate::support::command::{bert_embed, run};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What is found at a start of its own, not by `--self-test`, is smaller.
const HASHED_AT_EACH_START: u64 = 4 << 20;

/// What a hub may have, and this model's repository does not.
const ABSENT: [&str; 6] = [
    "added_tokens.json",
    "config_sentence_transformers.json",
    "modules.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
];

/// The place's model as the hub's `owner/name` in a cache, its blobs named by their SHA-256;
/// returns the weights' blob.
fn cache(place: &Place) -> PathBuf {
    let repository = place.path().join("cache/models--owner--name");
    let snapshot = repository.join("snapshots").join(COMMIT);
    for directory in ["refs", "blobs"] {
        fs::create_dir_all(repository.join(directory)).expect("a directory");
    }
    fs::create_dir_all(&snapshot).expect("a directory");
    fs::write(repository.join("refs/main"), COMMIT).expect("a ref");
    let blob_of = |file: &Path| {
        let content = fs::read(file).expect("a file of the model");
        let digest = Sha256::digest(&content);
        let name = digest
            .iter()
            .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        fs::write(repository.join("blobs").join(&name), content).expect("a blob");
        name
    };
    let mut weights = None;
    for entry in fs::read_dir(place.path().join("model")).expect("the model") {
        let entry = entry.expect("a file");
        let name = blob_of(&entry.path());
        symlink(
            Path::new("../../blobs").join(&name),
            snapshot.join(entry.file_name()),
        )
        .expect("a link");
        if entry.file_name() == "model.safetensors" {
            weights = Some(repository.join("blobs").join(name));
        }
    }
    // As a download leaves it: what the repository does not have is marked.
    let absent = repository.join(".no_exist").join(COMMIT);
    fs::create_dir_all(&absent).expect("a directory");
    for file in ABSENT {
        fs::write(absent.join(file), "").expect("a mark");
    }
    weights.expect("weights")
}

fn self_test_of_cache(place: &Place) -> (i32, String, String) {
    let mut command = bert_embed(place.path());
    command.args(["--offline", "-m", "owner/name", "--cache-dir", "cache"]);
    command.args(["--self-test", "--device", "cpu"]);
    run(&mut command)
}

/// Of each line what was tested, and how it ended.
fn verdicts(stdout: &str) -> Vec<(&str, &str)> {
    stdout
        .lines()
        .filter_map(|line| {
            let (what, rest) = line.split_once(' ')?;
            let verdict = ["pass", "FAIL", "not run"]
                .into_iter()
                .find(|verdict| rest.trim_start().starts_with(verdict))?;
            Some((what, verdict))
        })
        .collect()
}

#[test]
fn a_local_directory_passes() {
    let place = Place::with("wordpiece");
    let (code, stdout, stderr) = place.run(&["--self-test", "--device", "cpu"]);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    let expected = [
        ("files", "not run"),
        ("tokens", "pass"),
        ("encoder", "pass"),
        ("notebook", "not run"),
    ];
    assert_eq!(verdicts(&stdout), expected, "{stdout}");
    assert!(
        stdout.ends_with("\nPASS model (a local directory) on cpu\n"),
        "{stdout}"
    );
}

#[test]
fn another_dtype_is_compared_with_f32() {
    let place = Place::with("wordpiece");
    for dtype in ["f16", "bf16", "int16", "int8"] {
        let (code, stdout, stderr) =
            place.run(&["--self-test", "--device", "cpu", "--dtype", dtype]);
        assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
        assert_eq!(verdicts(&stdout)[4], ("dtype", "pass"), "{stdout}");
        assert!(stdout.contains("smallest cosine of a token "), "{stdout}");
    }
}

/// f16 alone: candle's CPU has no products of bf16.
#[test]
fn candles_operations_agree_with_its_bert_and_in_f16_with_f32() {
    let place = Place::with("wordpiece");
    let options = ["--self-test", "--device", "candle-cpu", "--dtype", "f16"];
    let (code, stdout, stderr) = place.run(&options);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert_eq!(verdicts(&stdout)[2], ("encoder", "pass"), "{stdout}");
    assert_eq!(verdicts(&stdout)[4], ("dtype", "pass"), "{stdout}");
    assert!(stdout.ends_with(" on candle-cpu\n"), "{stdout}");
}

#[test]
fn another_vocabulary_has_no_sentence_to_compare() {
    let place = Place::new();
    let (code, stdout, _) = place.run(&["--self-test", "--device", "cpu"]);
    assert_eq!(code, 0, "{stdout}");
    assert_eq!(verdicts(&stdout)[1], ("tokens", "not run"), "{stdout}");
}

#[test]
fn weights_that_are_not_the_hubs_fail() {
    let place = Place::with("wordpiece");
    let weights = cache(&place);
    let (code, stdout, stderr) = self_test_of_cache(&place);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert_eq!(verdicts(&stdout)[0], ("files", "pass"), "{stdout}");

    let mut content = fs::read(&weights).expect("the weights");
    assert!(content.len() as u64 > HASHED_AT_EACH_START);
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::write(&weights, content).expect("written");
    let (code, stdout, stderr) = self_test_of_cache(&place);
    assert_eq!(code, 4, "{stdout}{stderr}");
    assert_eq!(verdicts(&stdout)[0], ("files", "FAIL"), "{stdout}");
    assert!(
        stdout.contains("model.safetensors has the hash "),
        "{stdout}"
    );
    assert!(
        stdout.ends_with(&format!("\nFAIL owner/name ({COMMIT}) on cpu\n")),
        "{stdout}"
    );
    assert_eq!(
        stderr,
        "error: could not trust this installation with `owner/name`: the self-test failed\n"
    );
}

#[test]
fn what_it_would_not_heed_is_a_usage_error() {
    let place = Place::new();
    for options in [
        &["she is"][..],
        &["--pooling", "mean"],
        &["--max-length", "8"],
        &["-o", "out.npy"],
        &["--batch-tokens", "8"],
        &["--dry-run"],
    ] {
        let (code, stdout, stderr) = place.run(&[&["--self-test"], options].concat());
        assert_eq!((code, stdout.as_str()), (2, ""), "{options:?}: {stderr}");
        assert!(stderr.contains("'--self-test'"), "{options:?}: {stderr}");
    }
}
