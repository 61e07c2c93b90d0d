//! What the user asks the hub for, and what is found.

use std::path::{Path, PathBuf};

/// What the user asks for.
#[derive(Debug, Clone, Copy)]
pub struct ModelSource<'a> {
    /// A hub id or a directory, as typed.
    pub model: &'a str,
    /// A branch, a tag or a commit; a local directory has none.
    pub revision: &'a str,
    /// `--cache-dir`, before every variable.
    pub cache_dir: Option<&'a Path>,
    /// `--offline`: no download.
    pub offline: bool,
    /// Whether the weights are needed.
    pub weights: bool,
    /// Whether a download draws a progress bar on stderr.
    pub progress: bool,
}

/// One directory with the files of one version of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Where `config.json` and the rest are.
    pub directory: PathBuf,
    /// The directory with the files of sentence-transformers; the same, but for models of its first
    /// releases.
    pub root: PathBuf,
    /// The hub id, or the directory as typed.
    pub model: String,
    /// The commit; none for a local directory.
    pub commit: Option<String>,
}
