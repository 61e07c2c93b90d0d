//! Downloads from a hub on loopback into an empty cache.

mod faults;
mod hostile;
mod refusals;
mod works;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bert_embed::error::{Error, Kind};
use bert_embed::internals::{Environment, ModelSource, Snapshot, Timeouts, locate};
use tempfile::TempDir;

use crate::support::loopback::{Fault, LoopbackHub, Size, etag};

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
                // Far longer than an answer takes on a loaded machine.
                etag: Duration::from_mins(1),
                download: Duration::from_mins(1),
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

    /// Gives up after a second without headers.
    fn with_short_etag_timeout(mut self) -> Self {
        self.environment.timeouts.etag = Duration::from_secs(1);
        self
    }

    /// Gives up after a second without content.
    fn with_short_download_timeout(mut self) -> Self {
        self.environment.timeouts.download = Duration::from_secs(1);
        self
    }

    fn get(&self) -> Result<Snapshot, Error> {
        self.get_model("owner/name", "main")
    }

    fn get_model(&self, model: &str, revision: &str) -> Result<Snapshot, Error> {
        locate(&self.source(model, revision), &self.environment)
    }

    fn source<'a>(&'a self, model: &'a str, revision: &'a str) -> ModelSource<'a> {
        ModelSource {
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
