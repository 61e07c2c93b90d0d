//! Models that are there already: local directories, and caches as Python leaves them or as someone
//! plants them. Every test is offline.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use bert_embed::error::{Error, Kind};
use bert_embed::internals::{Environment, ModelSource, Snapshot, locate, verify};
use tempfile::TempDir;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// `printf '{}' | git hash-object --stdin`.
const EMPTY_JSON: &str = "9e26dfeeb6e641a33dae4961196235bdb965b21b";

fn find(model: &str, cache: &Path, environment: &Environment) -> Result<Snapshot, Error> {
    let source = ModelSource {
        model,
        revision: "main",
        cache_dir: Some(cache),
        offline: true,
        weights: true,
        progress: false,
    };
    locate(&source, environment)
}

fn cached(cache: &Path) -> Result<Snapshot, Error> {
    find("owner/name", cache, &Environment::default())
}

/// A cache with the model `owner/name`, every file of it the same blob, and its repository.
fn cache() -> (TempDir, PathBuf) {
    let cache = tempfile::tempdir().expect("a temporary directory");
    let repository = cache.path().join("models--owner--name");
    let snapshot = repository.join("snapshots").join(COMMIT);
    for directory in [
        &repository.join("refs"),
        &repository.join("blobs"),
        &snapshot,
    ] {
        fs::create_dir_all(directory).expect("a directory");
    }
    fs::write(repository.join("refs/main"), COMMIT).expect("a ref");
    fs::write(repository.join("blobs").join(EMPTY_JSON), "{}").expect("a blob");
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let blob = Path::new("../../blobs").join(EMPTY_JSON);
        symlink(blob, snapshot.join(file)).expect("a link");
    }
    (cache, repository)
}

/// The cache is refused, in words that hold `expected`.
#[track_caller]
fn refused(cache: &Path, expected: &str) {
    let error = cached(cache).expect_err("the cache must not be used");
    assert_eq!(error.kind(), Kind::Hub, "{error}");
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn a_cached_model_is_found_by_name_and_by_commit() {
    let (cache, repository) = cache();
    let snapshot = cached(cache.path()).expect("a snapshot");
    assert_eq!(
        snapshot.directory,
        repository.join("snapshots").join(COMMIT)
    );
    assert_eq!(snapshot.commit.as_deref(), Some(COMMIT));
    fs::remove_file(repository.join("refs/main")).expect("a ref");
    let source = ModelSource {
        model: "owner/name",
        revision: COMMIT,
        cache_dir: Some(cache.path()),
        offline: true,
        weights: true,
        progress: false,
    };
    assert!(locate(&source, &Environment::default()).is_ok());
}

#[test]
fn every_file_of_a_cached_model_is_verified_against_its_name() {
    let (cache, _repository) = cache();
    let snapshot = cached(cache.path()).expect("a snapshot");
    let hashes = verify(&snapshot).expect("readable files");
    assert_eq!(hashes.len(), 3);
    assert!(hashes.iter().all(|hash| hash.matches() == Some(true)));
}

#[test]
fn what_the_cache_lacks_is_named() {
    let (cache, repository) = cache();
    let snapshot = repository.join("snapshots").join(COMMIT);
    fs::remove_file(snapshot.join("tokenizer.json")).expect("a file");
    refused(
        cache.path(),
        "there is no `tokenizer.json` (or `vocab.txt`)",
    );
    fs::remove_file(repository.join("refs/main")).expect("a file");
    refused(cache.path(), "refs/main`: no such file or directory");
    refused(
        Path::new("/nowhere/at/all"),
        "could not use `/nowhere/at/all`: no such file",
    );
}

#[test]
fn a_damaged_blob_is_not_used() {
    let (cache, repository) = cache();
    fs::write(repository.join("blobs").join(EMPTY_JSON), "[]").expect("a blob");
    refused(cache.path(), "is damaged");
}

#[test]
fn a_link_out_of_the_cache_is_not_followed() {
    let outside = tempfile::NamedTempFile::new().expect("a file");
    let (cache, repository) = cache();
    let config = repository
        .join("snapshots")
        .join(COMMIT)
        .join("config.json");
    fs::remove_file(&config).expect("a link");
    symlink(outside.path(), &config).expect("a link");
    refused(cache.path(), "leads out of the cache");
}

#[test]
fn a_ref_that_is_no_commit_is_not_followed() {
    let (cache, repository) = cache();
    for text in ["", "../..", "../../../../etc", "0123", "main\n"] {
        fs::write(repository.join("refs/main"), text).expect("a ref");
        refused(cache.path(), "holds no commit");
    }
    fs::remove_file(repository.join("refs/main")).expect("a ref");
    fs::create_dir(repository.join("refs/main")).expect("a directory");
    refused(cache.path(), "is not a file");
}

#[test]
fn a_broken_link_and_a_directory_are_no_files() {
    let (cache, repository) = cache();
    let config = repository
        .join("snapshots")
        .join(COMMIT)
        .join("config.json");
    fs::remove_file(&config).expect("a link");
    symlink("../../blobs/gone", &config).expect("a link");
    refused(
        cache.path(),
        "it is a link to `../../blobs/gone`, which does not exist",
    );
    fs::remove_file(&config).expect("a link");
    fs::create_dir(&config).expect("a directory");
    refused(cache.path(), "it is a directory, not a file");
}

#[test]
fn names_that_could_leave_the_cache_are_refused() {
    let cache = tempfile::tempdir().expect("a temporary directory");
    for model in ["a/b/c", "%2e%2e", "a/..", "-x", "", "a\nb"] {
        let error = find(model, cache.path(), &Environment::default()).expect_err(model);
        assert_eq!(error.kind(), Kind::Usage, "{error}");
    }
    let error = find("../x", cache.path(), &Environment::default()).expect_err("no directory");
    assert_eq!(error.kind(), Kind::Model, "{error}");
}

#[test]
fn a_local_directory_needs_no_cache() {
    let (_cache, repository) = cache();
    let directory = repository.join("snapshots").join(COMMIT);
    let source = ModelSource {
        model: directory.to_str().expect("UTF-8"),
        revision: "main",
        cache_dir: None,
        offline: false,
        weights: true,
        progress: false,
    };
    let snapshot = locate(&source, &Environment::default()).expect("a directory");
    assert_eq!(snapshot.directory, directory);
    assert_eq!(snapshot.commit, None);
}

#[test]
fn a_local_directory_may_hold_a_pickle_alone() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for file in ["config.json", "vocab.txt", "pytorch_model.bin"] {
        fs::write(directory.path().join(file), "").expect("a file");
    }
    let model = directory.path().to_str().expect("UTF-8");
    let snapshot = find(model, directory.path(), &Environment::default()).expect("a model");
    assert_eq!(verify(&snapshot).expect("readable files").len(), 3);
}

#[test]
fn without_a_home_the_user_is_asked_for_one() {
    let source = ModelSource {
        model: "owner/name",
        revision: "main",
        cache_dir: None,
        offline: false,
        weights: true,
        progress: false,
    };
    let error = locate(&source, &Environment::default()).expect_err("no home");
    assert!(
        error
            .tip()
            .is_some_and(|tip| tip.contains("--cache-dir") && tip.contains("HF_HOME"))
    );
}
