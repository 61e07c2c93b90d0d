//! Model files: which checkpoints are taken, and how each broken one is refused.

use std::path::Path;

use bert_embed::error::{Kind, Result};
use bert_embed::internals::Config;
use bert_embed::internals::Tensors;
use tempfile::TempDir;

use crate::support::broken::Broken;

mod accepted;
mod config_faults;
mod directory_faults;
mod kin;
mod mutations;
mod pytorch;
mod shard_faults;
mod weight_faults;

/// Reads and checks the checkpoint in `directory` as far as a run does before it computes.
fn load(directory: &Path) -> Result<(Config, Tensors)> {
    let config = Config::read(directory)?;
    let tensors = Tensors::open(directory, config.model_type)?;
    tensors.check(&config)?;
    Ok((config, tensors))
}

/// An empty directory.
fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// The smallest checkpoint after `change`, written.
fn written(change: impl FnOnce(&mut Broken)) -> TempDir {
    let directory = directory();
    let mut checkpoint = Broken::smallest();
    change(&mut checkpoint);
    checkpoint.write(directory.path());
    directory
}

/// `directory` is refused with exit code 4, in one line that holds each of `words` and is in form.
#[track_caller]
fn assert_refused(sentence: &str, directory: &Path, words: &[&str]) {
    let Err(error) = load(directory) else {
        panic!("{sentence}: accepted");
    };
    assert_eq!(error.kind(), Kind::Model, "{sentence}: {error}");
    let message = error.to_string();
    for word in words {
        assert!(
            message.contains(word),
            "{sentence}: no `{word}` in: {message}"
        );
    }
    assert_form(&message);
}

/// One line, lower case, no final period, nothing that only `{:?}` prints.
#[track_caller]
fn assert_form(message: &str) {
    assert!(
        !message.contains('\n') && !message.ends_with('.'),
        "{message}"
    );
    let what_failed = [
        "could not use `",
        "could not use the weights in `",
        "there is no `",
        "could not read the model in `",
    ];
    assert!(
        what_failed.iter().any(|words| message.starts_with(words)),
        "{message}"
    );
    for debug in [
        "Some(",
        "Err(",
        "Os {",
        "kind:",
        "os error",
        "TensorInvalid",
    ] {
        assert!(!message.contains(debug), "{message}");
    }
}
