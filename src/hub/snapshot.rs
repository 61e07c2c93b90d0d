//! What is requested from the hub, and what is found.

use std::path::{Path, PathBuf};

/// The model and how to get it.
#[derive(Debug, Clone, Copy)]
pub struct ModelSource<'a> {
    pub model: &'a str,
    /// A branch, a tag or a commit; a local directory has none.
    pub revision: &'a str,
    /// `--cache-dir`; overrides every variable.
    pub cache_dir: Option<&'a Path>,
    /// `--offline`: no download.
    pub offline: bool,
    pub weights: bool,
    /// Whether a download draws a progress bar on stderr.
    pub progress: bool,
}

/// A directory with the files of one version of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Has `config.json` and the rest.
    pub directory: PathBuf,
    /// The top of the repository, with the files of sentence-transformers; its oldest models are in
    /// a folder below.
    pub root: PathBuf,
    /// The hub id, or the directory as typed.
    pub model: String,
    /// `None` for a local directory.
    pub commit: Option<String>,
    /// Files that may change the vectors, and of which the cache does not know whether the
    /// repository has them.
    pub unknown: Vec<String>,
}
