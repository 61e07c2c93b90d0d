//! A hub or a cache that wants a file written elsewhere.

use std::fs;

use bert_embed::error::Kind;

use super::{ALWAYS, Stage, entries};
use crate::support::loopback::{Fault, Size};

#[test]
fn an_index_that_names_files_elsewhere_is_refused() {
    let stage = Stage::new();
    stage.hub.remove("model.safetensors");
    let index = br#"{"weight_map":{"a":"../../x.safetensors"}}"#;
    stage
        .hub
        .add("model.safetensors.index.json", index, Size::Small);
    stage.fails(Kind::Model, "`../../x.safetensors`");
}

#[test]
fn an_etag_or_a_commit_that_is_a_path_writes_nothing() {
    for value in [
        "../../../../planted",
        "/tmp/planted",
        "..",
        "",
        "not a hash",
    ] {
        for header in ["ETag", "X-Repo-Commit"] {
            let stage = Stage::new();
            let fault = Fault::Header(header, value.to_owned());
            stage.hub.fail("HEAD", "config.json", ALWAYS, fault);
            stage.fails(Kind::Hub, "unusable");
            assert!(entries(stage.cache.path()).is_empty());
        }
    }
}

#[test]
fn an_etag_or_a_commit_that_turns_into_a_path_writes_nothing() {
    // Right at the first request, wrong at any later one.
    for header in ["X-Linked-ETag", "X-Repo-Commit"] {
        let stage = Stage::new();
        let right = Fault::Header("X-Nothing", String::new());
        stage.hub.fail("HEAD", "model.safetensors", 1, right);
        let planted = tempfile::tempdir().expect("a temporary directory");
        let path = planted.path().join("x").display().to_string();
        stage.hub.fail(
            "HEAD",
            "model.safetensors",
            ALWAYS,
            Fault::Header(header, path),
        );
        stage.get().expect("a download that does not look at it");
        stage.is_clean();
        assert!(entries(planted.path()).is_empty());
    }
}

#[test]
fn a_planted_link_in_the_cache_is_not_written_through() {
    let outside = tempfile::tempdir().expect("a temporary directory");
    for part in ["blobs", "snapshots", "refs"] {
        let stage = Stage::new();
        fs::create_dir_all(stage.repository()).expect("a directory");
        std::os::unix::fs::symlink(outside.path(), stage.repository().join(part)).expect("a link");
        let error = stage.get().expect_err("a link");
        assert!(error.to_string().contains("it is a link"), "{error}");
        assert!(entries(outside.path()).is_empty());
    }
}
