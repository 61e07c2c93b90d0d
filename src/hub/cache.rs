//! Looks for a usable snapshot of a model in the cache, without network access and without writing.
//!
//! The layout is Python's `huggingface_hub`'s: `models--owner--name/refs/<revision>` holds a
//! commit, `snapshots/<commit>/<file>` links to `blobs/<hash>`, and
//! `.no_exist/<commit>/<file>` says that the commit has no such file.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::repository::{Commit, RepositoryId, Revision};
use super::verify::is_small_and_damaged;
use crate::checkpoint::directory::has;
use crate::checkpoint::{files, modules};
use crate::error::{Error, Kind, Result, io_words};

/// The directory with an empty file for each file that a commit does not have.
pub(super) const NO_EXIST: &str = ".no_exist";

/// A ref holds 40 digits.
const MAX_REF_BYTES: u64 = 256;

#[derive(Debug, Clone)]
pub(super) struct RepositoryCache {
    pub(super) root: PathBuf,
    pub(super) folder: String,
}

impl RepositoryCache {
    pub(super) fn new(root: PathBuf, id: &RepositoryId) -> Self {
        Self {
            root,
            folder: id.folder(),
        }
    }

    /// The directory with the files of `commit`.
    pub(super) fn snapshot(&self, commit: &Commit) -> PathBuf {
        self.repository().join("snapshots").join(commit.as_str())
    }

    /// The commit of a snapshot of `revision` that has every file of the model inside the cache.
    ///
    /// # Errors
    /// [`Kind::Hub`] or [`Kind::Model`]: why there is none.
    pub(super) fn find(&self, revision: &Revision, weights: bool) -> Result<Commit> {
        let root = self
            .root
            .canonicalize()
            .map_err(|cause| not_usable(&self.root, &io_words(&cause)))?;
        let commit = match revision.commit() {
            Some(commit) => commit,
            None => self.referenced_commit(&root, revision)?,
        };
        let snapshot = self.snapshot(&commit);
        let directory = modules::model_directory(&snapshot);
        for file in files::model_files(&directory, weights)? {
            check_file(&root, &directory.join(file))?;
        }
        Ok(commit)
    }

    /// The files that loading consults, and that are neither in the snapshot of `commit` nor known
    /// to be missing: another program may have left the snapshot in part.
    pub(super) fn unknown(&self, commit: &Commit, weights: bool) -> Vec<String> {
        let root = self.snapshot(commit);
        let absent = self.repository().join(NO_EXIST).join(commit.as_str());
        let files = modules::consulted(&root, &modules::model_directory(&root), weights);
        let is_unknown = |file: &String| !has(&root, file) && !has(&absent, file);
        files.into_iter().filter(is_unknown).collect()
    }

    fn repository(&self) -> PathBuf {
        self.root.join(&self.folder)
    }

    fn referenced_commit(&self, root: &Path, revision: &Revision) -> Result<Commit> {
        let path = self.repository().join("refs").join(revision.as_str());
        let real = inside(root, &path)?;
        let mut text = String::new();
        fs::File::open(real)
            .and_then(|file| file.take(MAX_REF_BYTES).read_to_string(&mut text))
            .map_err(|cause| not_usable(&path, &io_words(&cause)))?;
        Commit::parse(text.trim()).ok_or_else(|| not_usable(&path, "it holds no commit"))
    }
}

/// Refuses a file that is outside `root` or visibly damaged.
fn check_file(root: &Path, path: &Path) -> Result<()> {
    let blob = inside(root, path)?;
    match is_small_and_damaged(&blob) {
        Ok(false) => Ok(()),
        Ok(true) => Err(not_usable(
            &blob,
            "it is damaged: its hash does not match its name",
        )),
        Err(cause) => Err(not_usable(path, &io_words(&cause))),
    }
}

/// The regular file that `path` leads to, which must be inside `root`, a path without links.
fn inside(root: &Path, path: &Path) -> Result<PathBuf> {
    let unreadable = |cause| not_usable(path, &io_words(&cause));
    let real = path.canonicalize().map_err(unreadable)?;
    if !real.starts_with(root) {
        return Err(not_usable(path, "it leads out of the cache"));
    }
    if !real.metadata().map_err(unreadable)?.is_file() {
        return Err(not_usable(path, "it is not a file"));
    }
    Ok(real)
}

fn not_usable(path: &Path, cause: &str) -> Error {
    Error::message(Kind::Hub, cause).context(format!("could not use `{}`", path.display()))
}
