//! Downloads that succeed, and what they leave in the cache.

use std::fs;

use bert_embed::error::Kind;
use bert_embed::internals::{ModelSource, locate, verify};

use super::Stage;
use crate::support::loopback::{COMMIT, LoopbackHub, Size, etag, weights};

#[test]
fn a_downloaded_model_still_works_when_the_hub_is_gone() {
    let stage = Stage::new();
    let snapshot = stage.get().expect("a download");
    assert_eq!(snapshot.commit.as_deref(), Some(COMMIT));
    let read = fs::read(snapshot.directory.join("model.safetensors")).expect("weights");
    assert_eq!(read, weights());
    let hashes = verify(&snapshot).expect("readable files");
    assert_eq!(hashes.len(), 4);
    assert!(hashes.iter().all(|hash| hash.matches() == Some(true)));
    stage.is_clean();

    let Stage {
        hub,
        cache,
        environment,
    } = stage;
    let asked = hub.requests().len();
    let source = ModelSource {
        model: "owner/name",
        revision: "main",
        cache_dir: Some(cache.path()),
        offline: false,
        weights: true,
        progress: false,
    };
    assert_eq!(locate(&source, &environment).ok().as_ref(), Some(&snapshot));
    assert_eq!(hub.requests().len(), asked, "a cached model asks nothing");
    drop(hub);
    let offline = ModelSource {
        offline: true,
        ..source
    };
    for source in [source, offline] {
        assert_eq!(locate(&source, &environment).ok().as_ref(), Some(&snapshot));
    }
}

#[test]
fn without_weights_none_are_downloaded_until_they_are_needed() {
    let stage = Stage::new();
    let source = ModelSource {
        weights: false,
        ..stage.source("owner/name", "main")
    };
    let snapshot = locate(&source, &stage.environment).expect("a download");
    assert!(!snapshot.directory.join("model.safetensors").exists());
    assert_eq!(stage.get().ok(), Some(snapshot.clone()));
    assert!(snapshot.directory.join("model.safetensors").exists());
}

#[test]
fn shards_are_downloaded_by_their_index() {
    let stage = Stage::new();
    stage.hub.remove("model.safetensors");
    let index = br#"{"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}}"#;
    stage
        .hub
        .add("model.safetensors.index.json", index, Size::Small);
    stage.hub.add("model-1.safetensors", b"one", Size::Large);
    stage.fails(Kind::HubRefused, "`model-2.safetensors`");
    stage.hub.add("model-2.safetensors", b"two", Size::Large);
    let snapshot = stage.get().expect("a download");
    assert_eq!(verify(&snapshot).expect("readable files").len(), 6);
}

#[test]
fn a_pickle_is_downloaded_only_if_there_are_no_safetensors() {
    let stage = Stage::new();
    stage.hub.add("pytorch_model.bin", b"pickle", Size::Large);
    let snapshot = stage.get().expect("a download");
    let pickle = snapshot.directory.join("pytorch_model.bin");
    assert!(!pickle.exists());

    let stage = Stage::new();
    stage.hub.remove("model.safetensors");
    stage.fails(
        Kind::HubRefused,
        "`model.safetensors` or `pytorch_model.bin`",
    );
    stage.hub.add("pytorch_model.bin", b"pickle", Size::Large);
    let snapshot = stage.get().expect("a download");
    assert_eq!(verify(&snapshot).expect("readable files").len(), 4);
    let read = fs::read(snapshot.directory.join("pytorch_model.bin")).expect("weights");
    assert_eq!(read, b"pickle");
    let asked = stage.hub.requests().len();
    stage.get().expect("the cached model");
    assert_eq!(stage.hub.requests().len(), asked);
}

#[test]
fn shards_of_a_pickle_are_downloaded_by_their_index() {
    let stage = Stage::new();
    stage.hub.remove("model.safetensors");
    let index = br#"{"weight_map":{"a":"pytorch_model-1.bin","b":"pytorch_model-2.bin"}}"#;
    stage
        .hub
        .add("pytorch_model.bin.index.json", index, Size::Small);
    stage.hub.add("pytorch_model-1.bin", b"one", Size::Large);
    stage.fails(Kind::HubRefused, "`pytorch_model-2.bin`");
    stage.hub.add("pytorch_model-2.bin", b"two", Size::Large);
    let snapshot = stage.get().expect("a download");
    assert_eq!(verify(&snapshot).expect("readable files").len(), 6);
}

#[test]
fn a_vocabulary_stands_for_a_tokenizer() {
    let stage = Stage::new();
    stage.hub.remove("tokenizer.json");
    stage.fails(Kind::HubRefused, "`vocab.txt`");
    stage.hub.add("vocab.txt", b"[PAD]\n", Size::Small);
    let snapshot = stage.get().expect("a download");
    assert!(snapshot.directory.join("vocab.txt").is_file());
}

#[test]
fn a_renamed_model_and_a_revision_with_slashes_are_found() {
    let stage = Stage::new();
    let snapshot = stage.get_model("renamed", "refs/pr/1").expect("a download");
    let repository = stage.cache.path().join("models--renamed");
    assert_eq!(
        snapshot.directory,
        repository.join("snapshots").join(COMMIT)
    );
    let reference = fs::read_to_string(repository.join("refs/refs/pr/1")).expect("a ref");
    assert_eq!(reference, COMMIT);
}

#[test]
fn a_damaged_blob_in_the_cache_is_replaced() {
    let stage = Stage::new();
    let blobs = stage.repository().join("blobs");
    fs::create_dir_all(&blobs).expect("a directory");
    fs::write(blobs.join(etag(&weights(), Size::Large)), "half").expect("a blob");
    stage.get().expect("a download");
    stage.is_clean();
}

#[test]
fn two_downloads_at_once_fetch_each_file_once() {
    let stage = Stage::new();
    let snapshots: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| stage.get())).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    assert!(snapshots.iter().all(Result::is_ok), "{snapshots:?}");
    let fetched = |request: &&crate::support::loopback::Request| {
        request.method == "GET" && request.path.starts_with("/cdn/")
    };
    assert_eq!(stage.hub.requests().iter().filter(fetched).count(), 1);
    stage.is_clean();
}

#[test]
fn what_a_killed_download_left_is_cleared() {
    let stage = Stage::new();
    let left = stage
        .cache
        .path()
        .join(".locks/models--owner--name/bert-embed.incomplete/x");
    fs::create_dir_all(&left).expect("a directory");
    stage.get().expect("a download");
    stage.is_clean();
}

#[test]
fn a_cache_that_cannot_be_written_names_the_option() {
    // A file where a directory should be: unlike a permission, it stops root too.
    let stage = Stage::new();
    let file = stage.cache.path().join("file");
    fs::write(&file, "").expect("a file");
    let source = ModelSource {
        cache_dir: Some(&file),
        ..stage.source("owner/name", "main")
    };
    let error = locate(&source, &stage.environment).expect_err("no directory");
    assert_eq!(error.kind(), Kind::Hub);
    assert!(error.tip().is_some_and(|tip| tip.contains("--cache-dir")));
}

#[test]
fn an_adapter_is_refused_before_anything_is_downloaded() {
    let stage = Stage::new();
    stage.hub.add("adapter_config.json", b"{}", Size::Small);
    stage.fails(Kind::Model, "it has an adapter (`adapter_config.json`)");
    let requests = stage.hub.requests();
    assert!(requests.iter().all(|request| request.method == "HEAD"));
}

#[test]
fn the_modules_of_sentence_transformers_come_with_their_folders() {
    let stage = Stage::new();
    let modules = br#"[{"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"},
        {"idx":1,"name":"1","path":"1_Pooling","type":"sentence_transformers.models.Pooling"},
        {"idx":2,"name":"2","path":"2_Dense","type":"sentence_transformers.models.Dense"},
        {"idx":3,"name":"3","path":"3_Normalize","type":"sentence_transformers.models.Normalize"}]"#;
    stage.hub.add("modules.json", modules, Size::Small);
    let files = [
        ("1_Pooling/config.json", Size::Small),
        ("2_Dense/config.json", Size::Small),
        ("2_Dense/pytorch_model.bin", Size::Large),
    ];
    for (file, size) in files {
        stage.hub.add(file, file.as_bytes(), size);
    }
    let snapshot = stage.get().expect("a download");
    for (file, _) in files {
        let read = fs::read(snapshot.directory.join(file)).expect(file);
        assert_eq!(read, file.as_bytes());
    }
    stage.is_clean();
}

#[test]
fn the_old_layout_of_sentence_transformers_is_downloaded_from_its_folder() {
    let modules = br#"[{"idx":0,"name":"0","path":"0_Transformer","type":"sentence_transformers.models.Transformer"},
        {"idx":1,"name":"1","path":"1_Pooling","type":"sentence_transformers.models.Pooling"}]"#;
    let config = b"{\"model_type\":\"bert\"}";
    for (root_config, weights) in [
        (None, "pytorch_model.bin"),
        // As the first releases wrote it.
        (Some(b"{\"__version__\":\"0.2.0\"}"), "model.safetensors"),
    ] {
        let stage = Stage::with(LoopbackHub::empty());
        stage.hub.add("modules.json", modules, Size::Small);
        stage.fails(Kind::HubRefused, "`config.json`");
        if let Some(config) = root_config {
            stage.hub.add("config.json", config, Size::Small);
        }
        let small = [
            ("0_Transformer/config.json", &config[..]),
            ("0_Transformer/vocab.txt", b"[PAD]\n"),
            (
                "0_Transformer/sentence_bert_config.json",
                b"{\"max_seq_length\":128}",
            ),
            ("1_Pooling/config.json", b"{}"),
        ];
        for (file, content) in small {
            stage.hub.add(file, content, Size::Small);
        }
        let weights = format!("0_Transformer/{weights}");
        stage.fails(
            Kind::HubRefused,
            "`model.safetensors` or `pytorch_model.bin`",
        );
        stage.hub.add(&weights, b"weights", Size::Large);
        let snapshot = stage.get().expect("a download");
        assert_eq!(snapshot.directory, snapshot.root.join("0_Transformer"));
        for (file, content) in small {
            assert_eq!(fs::read(snapshot.root.join(file)).expect(file), content);
        }
        assert_eq!(
            fs::read(snapshot.root.join(weights)).expect("weights"),
            b"weights"
        );
        stage.is_clean();
        let asked = stage.hub.requests().len();
        assert_eq!(stage.get().ok(), Some(snapshot));
        assert_eq!(
            stage.hub.requests().len(),
            asked,
            "a cached model asks nothing"
        );
    }
}

#[test]
fn an_adapter_in_the_folder_of_the_model_is_refused() {
    let stage = Stage::with(LoopbackHub::empty());
    let modules =
        br#"[{"path":"0_Transformer","type":"sentence_transformers.models.Transformer"}]"#;
    stage.hub.add("modules.json", modules, Size::Small);
    stage
        .hub
        .add("0_Transformer/config.json", b"{}", Size::Small);
    stage
        .hub
        .add("0_Transformer/adapter_config.json", b"{}", Size::Small);
    stage.fails(Kind::Model, "it has an adapter (`adapter_config.json`)");
}

#[test]
fn modules_that_leave_the_snapshot_are_not_followed() {
    let stage = Stage::new();
    for path in ["../x", "/x", "a/b", ".x"] {
        let module = format!("[{{\"path\":\"{path}\",\"type\":\"x.Pooling\"}}]");
        stage
            .hub
            .add("modules.json", module.as_bytes(), Size::Small);
        stage.get().expect("a download");
        let requests = stage.hub.requests();
        assert!(
            !requests
                .iter()
                .any(|request| request.path.contains("x/config.json"))
        );
        fs::remove_dir_all(stage.repository()).expect("removed");
    }
}

/// A cache with config.json, tokenizer.json and the weights only, as candle's examples leave it.
fn left_in_part() -> Stage {
    let stage = Stage::new();
    for file in [
        "tokenizer_config.json",
        "modules.json",
        "1_Pooling/config.json",
    ] {
        stage.hub.remove(file);
    }
    stage.get().expect("a download");
    let no_exist = stage.repository().join(".no_exist").join(COMMIT);
    assert!(no_exist.join("tokenizer_config.json").is_file());
    fs::remove_dir_all(no_exist.parent().expect("a directory")).expect("removed");
    let modules =
        br#"[{"path":"","type":"x.Transformer"},{"path":"1_Pooling","type":"x.Pooling"}]"#;
    for (file, content) in [
        ("tokenizer_config.json", &b"{\"do_lower_case\":false}"[..]),
        ("modules.json", modules),
        ("1_Pooling/config.json", b"{}"),
    ] {
        stage.hub.add(file, content, Size::Small);
    }
    stage
}

#[test]
fn a_snapshot_that_another_program_left_in_part_is_completed() {
    let stage = left_in_part();
    let asked = stage.hub.requests().len();
    let snapshot = stage.get().expect("a completed snapshot");
    assert!(snapshot.unknown.is_empty(), "{:?}", snapshot.unknown);
    for file in [
        "tokenizer_config.json",
        "modules.json",
        "1_Pooling/config.json",
    ] {
        assert!(snapshot.directory.join(file).is_file(), "{file}");
    }
    // As Python's client marks what a repository does not have: an empty file.
    let absent = stage.repository().join(".no_exist").join(COMMIT);
    let mark = fs::read(absent.join("added_tokens.json"));
    assert_eq!(mark.ok().as_deref(), Some(&b""[..]));
    let requests = stage.hub.requests().split_off(asked);
    assert!(
        !requests
            .iter()
            .any(|request| request.path.ends_with("model.safetensors"))
    );
    let asked = stage.hub.requests().len();
    assert_eq!(stage.get().ok(), Some(snapshot));
    assert_eq!(
        stage.hub.requests().len(),
        asked,
        "a complete cache asks nothing"
    );
}

#[test]
fn without_the_hub_a_snapshot_in_part_is_used_and_its_unknown_files_are_named() {
    let mut stage = left_in_part();
    let asked = stage.hub.requests().len();
    let expected = [
        "added_tokens.json",
        "config_sentence_transformers.json",
        "modules.json",
        "sentence_bert_config.json",
        "special_tokens_map.json",
        "tokenizer_config.json",
    ];
    stage.environment.offline = true;
    assert_eq!(stage.get().expect("a snapshot").unknown, expected);
    assert_eq!(stage.hub.requests().len(), asked);
    stage.environment.offline = false;
    // Port 9 is discard, which nothing listens to.
    stage.environment.hf_endpoint = Some("http://127.0.0.1:9".to_owned());
    assert_eq!(stage.get().expect("a snapshot").unknown, expected);
}

#[test]
fn a_mark_of_python_is_believed() {
    let mut stage = left_in_part();
    stage.environment.offline = true;
    let absent = stage.repository().join(".no_exist").join(COMMIT);
    fs::create_dir_all(&absent).expect("a directory");
    for file in stage.get().expect("a snapshot").unknown {
        fs::write(absent.join(file), "").expect("a mark");
    }
    assert!(stage.get().expect("a snapshot").unknown.is_empty());
}

#[test]
fn weights_that_are_not_read_are_named() {
    for file in ["onnx/model.onnx", "model.fp16.safetensors", "rust_model.ot"] {
        let stage = Stage::new();
        stage.hub.remove("model.safetensors");
        stage.hub.add(file, b"weights", Size::Large);
        stage.fails(
            Kind::HubRefused,
            &format!("has `{file}`, which is not read"),
        );
    }
}
