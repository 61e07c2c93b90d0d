//! Downloads from a hub on loopback, right and wrong ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bert_embed::checkpoint::{Environment, Snapshot, Source, Timeouts, Token, locate, verify};
use bert_embed::error::{Error, Kind};
use tempfile::TempDir;

use crate::support::loopback::{COMMIT, Fault, LoopbackHub, Size, etag, weights};

const ALWAYS: usize = usize::MAX;

/// A hub and an empty cache.
struct Stage {
    hub: LoopbackHub,
    cache: TempDir,
    environment: Environment,
}

impl Stage {
    fn new() -> Self {
        Self::with(LoopbackHub::start())
    }

    fn with(hub: LoopbackHub) -> Self {
        let environment = Environment {
            hf_endpoint: Some(hub.endpoint()),
            timeouts: Timeouts {
                etag: Duration::from_secs(1),
                download: Duration::from_secs(1),
                retry: Duration::from_millis(10),
            },
            ..Environment::default()
        };
        let cache = tempfile::tempdir().expect("a temporary directory");
        Self {
            hub,
            cache,
            environment,
        }
    }

    fn get(&self) -> Result<Snapshot, Error> {
        self.get_model("owner/name", "main")
    }

    fn get_model(&self, model: &str, revision: &str) -> Result<Snapshot, Error> {
        locate(&self.source(model, revision), &self.environment)
    }

    fn source<'a>(&'a self, model: &'a str, revision: &'a str) -> Source<'a> {
        Source {
            model,
            revision,
            cache_dir: Some(self.cache.path()),
            offline: false,
            weights: true,
            progress: false,
        }
    }

    /// The download fails with `kind`, in words that hold `expected`.
    #[track_caller]
    fn fails(&self, kind: Kind, expected: &str) -> Error {
        let error = self.get().expect_err("the download must fail");
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        self.is_clean();
        error
    }

    fn repository(&self) -> PathBuf {
        self.cache.path().join("models--owner--name")
    }

    /// Every blob is what its name says, and nothing half-done is left.
    #[track_caller]
    fn is_clean(&self) {
        for blob in entries(&self.repository().join("blobs")) {
            let content = fs::read(&blob).expect("a blob");
            let name = blob
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let size = if name.len() == 64 {
                Size::Large
            } else {
                Size::Small
            };
            assert_eq!(name, etag(&content, size));
        }
        let locks = self.cache.path().join(".locks/models--owner--name");
        let left: Vec<PathBuf> = entries(&locks);
        assert!(
            left.iter().all(|path| path.ends_with("bert-embed.lock")),
            "{left:?}"
        );
    }
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default()
}

fn status(status: u16, code: &str) -> Fault {
    let headers = match code {
        "" => Vec::new(),
        code => vec![("X-Error-Code", code.to_owned())],
    };
    Fault::Status(status, headers, "<html>secret page</html>")
}

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
    let source = Source {
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
    let offline = Source {
        offline: true,
        ..source
    };
    for source in [source, offline] {
        assert_eq!(locate(&source, &environment).ok().as_ref(), Some(&snapshot));
    }
}

#[test]
fn offline_makes_no_request() {
    let mut stage = Stage::new();
    stage.environment.offline = true;
    let error = stage.fails(Kind::Hub, "HF_HUB_OFFLINE allows no download");
    assert!(
        error
            .tip()
            .is_some_and(|tip| tip.contains("without HF_HUB_OFFLINE"))
    );
    assert!(stage.hub.requests().is_empty());
}

#[test]
fn without_weights_none_are_downloaded_until_they_are_needed() {
    let stage = Stage::new();
    let source = Source {
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
fn only_a_pickle_is_refused_with_a_tip() {
    let stage = Stage::new();
    stage.hub.remove("model.safetensors");
    stage.hub.add("pytorch_model.bin", b"pickle", Size::Large);
    let error = stage.fails(Kind::Model, "pytorch_model.bin");
    assert!(
        error
            .tip()
            .is_some_and(|tip| tip.contains("save_pretrained"))
    );
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
fn the_token_stays_with_the_hub() {
    let mut stage = Stage::new();
    stage.environment.hf_token = Some(Token::new("hf_secret\n"));
    stage.get().expect("a download");
    let requests = stage.hub.requests();
    let (elsewhere, hub): (Vec<_>, Vec<_>) = requests
        .iter()
        .partition(|request| request.host.starts_with("localhost"));
    assert!(!elsewhere.is_empty(), "the weights lie on another host");
    for request in elsewhere {
        assert_eq!(request.authorization, None, "{request:?}");
    }
    for request in hub {
        let sent = request.authorization.as_deref();
        assert_eq!(sent, Some("Bearer hf_secret"), "{request:?}");
    }
}

#[test]
fn without_a_token_none_is_sent() {
    let stage = Stage::new();
    stage.get().expect("a download");
    let requests = stage.hub.requests();
    assert!(
        requests
            .iter()
            .all(|request| request.authorization.is_none())
    );
}

#[test]
fn each_refusal_has_its_own_words() {
    let refusals = [
        (status(401, "RepoNotFound"), false, "needs a token (401)"),
        (status(401, ""), true, "does not accept the token"),
        (status(403, "GatedRepo"), true, "gated"),
        (status(404, "RepoNotFound"), false, "no such model"),
        (status(404, "RevisionNotFound"), false, "no such revision"),
        (status(404, "EntryNotFound"), false, "no `config.json`"),
    ];
    for (fault, token, expected) in refusals {
        let mut stage = Stage::new();
        stage.environment.hf_token = token.then(|| Token::new("hf_secret"));
        stage.hub.fail("HEAD", "config.json", ALWAYS, fault);
        let error = stage.fails(Kind::HubRefused, expected);
        let told = format!("{error} {:?}", error.tip());
        assert!(
            !told.contains("hf_secret") && !told.contains("secret page"),
            "{told}"
        );
        assert!(
            entries(stage.cache.path()).is_empty(),
            "a refusal writes nothing"
        );
    }
}

#[test]
fn trouble_that_passes_is_waited_for() {
    let stage = Stage::new();
    stage.hub.fail("HEAD", "config.json", 2, status(503, ""));
    let wait = Fault::Status(429, vec![("Retry-After", "1".to_owned())], "");
    stage.hub.fail("HEAD", "tokenizer.json", 1, wait);
    let start = Instant::now();
    stage.get().expect("a download");
    assert!(
        start.elapsed() >= Duration::from_secs(1),
        "Retry-After is honoured"
    );
}

#[test]
fn trouble_that_stays_ends_the_download() {
    for code in [429, 500, 502, 503] {
        let stage = Stage::new();
        stage
            .hub
            .fail("HEAD", "config.json", ALWAYS, status(code, ""));
        let error = stage.fails(Kind::Hub, &code.to_string());
        assert!(error.to_string().contains("127.0.0.1"), "{error}");
        assert!(
            error
                .tip()
                .is_some_and(|tip| tip.contains("local directory"))
        );
        assert_eq!(stage.hub.requests().len(), 4);
        assert!(entries(stage.cache.path()).is_empty());
    }
}

#[test]
fn a_long_pause_is_not_waited_for() {
    let stage = Stage::new();
    let wait = Fault::Status(429, vec![("Retry-After", "300".to_owned())], "");
    stage.hub.fail("HEAD", "config.json", ALWAYS, wait);
    stage.fails(Kind::Hub, "asks to wait 300 s");
    assert_eq!(stage.hub.requests().len(), 1);
}

#[test]
fn a_page_in_place_of_a_file_is_not_kept() {
    let page = b"<html>try later</html>".to_vec();
    let wrong = [
        Fault::Body(page),
        Fault::Body(weights()[..10_000].to_vec()),
        Fault::Body([&weights()[..19_999], b"x"].concat()),
        Fault::Body([weights(), weights()].concat()),
        Fault::Cut(10_000),
        status(403, ""),
        status(500, ""),
    ];
    for fault in wrong {
        let stage = Stage::new();
        stage
            .hub
            .fail("GET", "model.safetensors", ALWAYS, fault.clone());
        stage.fails(Kind::Hub, "cannot download `model.safetensors`");
        let once = Stage::new();
        once.hub.fail("GET", "model.safetensors", 1, fault);
        once.get().expect("the second try brings the file");
        once.is_clean();
    }
}

#[test]
fn a_damaged_small_file_is_not_kept() {
    let stage = Stage::new();
    stage.hub.fail(
        "GET",
        "config.json",
        ALWAYS,
        Fault::Body(b"{\"model_type\":\"best\"}".to_vec()),
    );
    stage.fails(Kind::Hub, "came damaged");
    assert!(!stage.repository().join("refs/main").exists());
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
fn a_redirect_loop_ends() {
    let stage = Stage::new();
    let path = "/owner/name/resolve/main/config.json";
    stage.hub.fail(
        "HEAD",
        "config.json",
        ALWAYS,
        Fault::Redirect(path.to_owned()),
    );
    stage.fails(Kind::Hub, "redirects more than 10 times");
    let stage = Stage::new();
    let path = format!("{}/cdn/model.safetensors", stage.hub.endpoint());
    stage
        .hub
        .fail("GET", "model.safetensors", ALWAYS, Fault::Redirect(path));
    stage.fails(Kind::Hub, "more than 10 redirects");
}

#[test]
fn silence_before_the_headers_ends() {
    let stage = Stage::new();
    stage.hub.fail("HEAD", "config.json", ALWAYS, Fault::Hang);
    let start = Instant::now();
    stage.fails(Kind::Hub, "did not answer within 1 s");
    assert!(start.elapsed() < Duration::from_secs(5));
    let stage = Stage::new();
    stage
        .hub
        .fail("GET", "model.safetensors", ALWAYS, Fault::Hang);
    stage.fails(Kind::Hub, "of 20000 bytes");
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn silence_or_a_trickle_in_the_content_ends() {
    for (fault, far) in [
        (Fault::HangAfter(5_000), "after 5000 of 20000 bytes"),
        (Fault::Trickle, "of 20000 bytes"),
    ] {
        let stage = Stage::new();
        stage.hub.fail("GET", "model.safetensors", ALWAYS, fault);
        let start = Instant::now();
        stage.fails(Kind::Hub, far);
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn an_unreachable_hub_is_named_at_once() {
    let mut stage = Stage::new();
    // Port 9 is discard, which nothing listens to.
    stage.environment.hf_endpoint = Some("http://127.0.0.1:9".to_owned());
    let error = stage.fails(Kind::Hub, "cannot reach 127.0.0.1");
    assert!(
        error
            .tip()
            .is_some_and(|tip| tip.contains("local directory"))
    );
}

#[test]
fn an_endpoint_that_is_no_address_is_refused() {
    let mut stage = Stage::new();
    for endpoint in ["huggingface.co", "ftp://hub.test", "/tmp", "http://"] {
        stage.environment.hf_endpoint = Some(endpoint.to_owned());
        stage.fails(Kind::Usage, "HF_ENDPOINT");
    }
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
    // Right when we ask for it, wrong when hf-hub does.
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

#[test]
fn a_cache_that_cannot_be_written_names_the_option() {
    // A file where a directory should be: unlike a permission, it stops root too.
    let stage = Stage::new();
    let file = stage.cache.path().join("file");
    fs::write(&file, "").expect("a file");
    let source = Source {
        cache_dir: Some(&file),
        ..stage.source("owner/name", "main")
    };
    let error = locate(&source, &stage.environment).expect_err("no directory");
    assert_eq!(error.kind(), Kind::Hub);
    assert!(error.tip().is_some_and(|tip| tip.contains("--cache-dir")));
}
