//! A model's place in the cache, and whether a usable snapshot is there. Touches no network and
//! writes nothing.
//!
//! The layout is that of Python's `huggingface_hub`: `models--owner--name/refs/<revision>` holds a
//! commit, `snapshots/<commit>/<file>` links to `blobs/<hash>`.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::repository::{Commit, RepositoryId, Revision};
use super::verify::is_small_and_damaged;
use crate::checkpoint::files::{self, Lack};

/// A ref holds 40 digits; whatever is longer than this is none.
const MAX_REF_BYTES: u64 = 256;

/// One repository in one cache.
#[derive(Debug, Clone)]
pub(super) struct RepositoryCache {
    /// The cache directory, as it was given.
    root: PathBuf,
    /// `models--owner--name`.
    folder: String,
}

impl RepositoryCache {
    /// The place of `id` in the cache at `root`, be it there or not.
    pub(super) fn new(root: PathBuf, id: &RepositoryId) -> Self {
        Self {
            root,
            folder: id.folder(),
        }
    }

    /// The cache directory.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// `models--owner--name`.
    #[cfg(feature = "hub")]
    pub(super) fn folder(&self) -> &str {
        &self.folder
    }

    /// Where the files of `commit` are.
    pub(super) fn snapshot(&self, commit: &Commit) -> PathBuf {
        self.repository().join("snapshots").join(commit.as_str())
    }

    /// The commit of a snapshot of `revision` that has every file of the model, each a file inside
    /// the cache; else why there is none.
    pub(super) fn find(&self, revision: &Revision, weights: bool) -> Result<Commit, Lack> {
        let root = self
            .root
            .canonicalize()
            .map_err(|_| Lack::Missing(format!("the cache `{}`", self.root.display())))?;
        let commit = match revision.commit() {
            Some(commit) => commit,
            None => self.referenced_commit(&root, revision)?,
        };
        let snapshot = self.snapshot(&commit);
        if !snapshot.is_dir() {
            let what = format!("snapshot `{}`", commit.as_str());
            return Err(Lack::Missing(what));
        }
        files::complete(&snapshot, weights, |path| usable_file(&root, path))?;
        Ok(commit)
    }

    fn repository(&self) -> PathBuf {
        self.root.join(&self.folder)
    }

    fn referenced_commit(&self, root: &Path, revision: &Revision) -> Result<Commit, Lack> {
        let path = self.repository().join("refs").join(revision.as_str());
        let real = inside(root, &path)?;
        let mut text = String::new();
        fs::File::open(real)
            .and_then(|file| file.take(MAX_REF_BYTES).read_to_string(&mut text))
            .map_err(|error| unreadable(&path, &error))?;
        Commit::parse(text.trim())
            .ok_or_else(|| Lack::Unusable(format!("`{}` holds no commit", path.display())))
    }
}

/// Whether `path` leads to a file inside `root` that is not visibly damaged.
fn usable_file(root: &Path, path: &Path) -> Result<(), Lack> {
    let blob = inside(root, path)?;
    match is_small_and_damaged(&blob) {
        Ok(false) => Ok(()),
        Ok(true) => {
            let why = "is damaged: its hash is not the one that it is named by";
            Err(Lack::Unusable(format!("`{}` {why}", blob.display())))
        }
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// The file that `path` leads to, which must lie inside `root`, itself without links.
fn inside(root: &Path, path: &Path) -> Result<PathBuf, Lack> {
    let unusable = |why: &str| Lack::Unusable(format!("`{}` {why}", path.display()));
    let real = path.canonicalize().map_err(|error| {
        if path.is_symlink() {
            unusable("is a broken link")
        } else if error.kind() == io::ErrorKind::NotFound {
            let name = path.file_name().map_or(path.as_os_str(), |name| name);
            Lack::Missing(format!("`{}`", name.display()))
        } else {
            unreadable(path, &error)
        }
    })?;
    if !real.starts_with(root) {
        return Err(unusable("leads out of the cache"));
    }
    if !real.is_file() {
        return Err(unusable("is not a file"));
    }
    Ok(real)
}

fn unreadable(path: &Path, error: &io::Error) -> Lack {
    Lack::Unusable(format!("`{}` cannot be read: {error}", path.display()))
}
