//! Writes verified files into the cache in Python's layout: first the blob, then the link to it,
//! then the ref, each by a rename, so that a killed process leaves a cache that both programs can
//! use.
//!
//! A lock keeps two of our processes from downloading the same model at once. Next to it is the
//! staging directory. No link is followed on the way to a file that is written.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::cache::{NO_EXIST, RepositoryCache};
use super::repository::{Commit, RepositoryId, Revision};
use super::verify::BlobHash;
use crate::error::{Error, Kind, Result, io_words};
use crate::notes;

/// Holds the lock of one repository of the cache.
pub(super) struct Installer<'a> {
    pub(super) cache: &'a RepositoryCache,
    /// Holds downloads that are not verified yet, in the cache's file system.
    pub(super) staging: PathBuf,
    _lock: File,
}

impl<'a> Installer<'a> {
    /// Waits for the lock and removes what a killed download left.
    pub(super) fn lock(cache: &'a RepositoryCache, id: &RepositoryId) -> Result<Self> {
        let root = &cache.root;
        fs::create_dir_all(root).map_err(|error| cannot_write(root, &error))?;
        let locks = directory(root, &[".locks", &cache.folder])?;
        // Not Python's locks, which are one per blob: ours covers the whole model.
        let path = locks.join("bert-embed.lock");
        refuse_link(&path)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| cannot_write(&path, &error))?;
        wait_for(&lock, id).map_err(|error| cannot_write(&path, &error))?;
        let staging = locks.join("bert-embed.incomplete");
        remove(&staging)?;
        Ok(Self {
            cache,
            staging,
            _lock: lock,
        })
    }

    /// The path of a download, in a directory that exists.
    pub(super) fn stage(&self) -> Result<PathBuf> {
        create_directory(&self.staging).map_err(|error| cannot_write(&self.staging, &error))?;
        Ok(self.staging.join("download"))
    }

    /// Whether the cache has an undamaged blob.
    pub(super) fn has(&self, hash: &BlobHash) -> Result<bool> {
        let blob = self.directory(&["blobs"])?.join(hash.digits());
        match blob.symlink_metadata() {
            Ok(metadata) if metadata.is_file() => hash
                .matches(&blob)
                .map_err(|error| cannot_write(&blob, &error)),
            _ => Ok(false),
        }
    }

    /// Moves the verified file at `staged` to the blobs.
    pub(super) fn add_blob(&self, staged: &Path, hash: &BlobHash) -> Result<()> {
        let blob = self.directory(&["blobs"])?.join(hash.digits());
        replace(staged, &blob)
    }

    /// Makes `file` of the snapshot of `commit` a link to the blob.
    pub(super) fn link(&self, commit: &Commit, file: &str, hash: &BlobHash) -> Result<()> {
        let mut folders: Vec<&str> = file.split('/').collect();
        let file = folders.pop().unwrap_or_default();
        let up = "../".repeat(folders.len());
        folders.splice(0..0, ["snapshots", commit.as_str()]);
        let snapshot = self.directory(&folders)?;
        let blob = Path::new(&up).join("../../blobs").join(hash.digits());
        let pointer = snapshot.join(file);
        // Anything else is replaced.
        if matches!(fs::read_link(&pointer), Ok(target) if target == blob) {
            return Ok(());
        }
        let new = snapshot.join(format!(".{file}.incomplete"));
        remove(&new)?;
        symlink(&blob, &new).map_err(|error| cannot_write(&new, &error))?;
        replace(&new, &pointer)
    }

    /// Records that `commit` has no `file`.
    pub(super) fn mark_absent(&self, commit: &Commit, file: &str) -> Result<()> {
        let mut folders: Vec<&str> = file.split('/').collect();
        let file = folders.pop().unwrap_or_default();
        folders.splice(0..0, [NO_EXIST, commit.as_str()]);
        let mark = self.directory(&folders)?.join(file);
        match OpenOptions::new().create_new(true).write(true).open(&mark) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(cannot_write(&mark, &error))
            }
            _ => Ok(()),
        }
    }

    /// Records that `revision` is `commit`, unless it is a commit itself.
    pub(super) fn write_ref(&self, revision: &Revision, commit: &Commit) -> Result<()> {
        if revision.commit().is_some() {
            return Ok(());
        }
        let mut parts: Vec<&str> = revision.as_str().split('/').collect();
        let name = parts.pop().unwrap_or_default();
        parts.insert(0, "refs");
        let refs = self.directory(&parts)?;
        let new = refs.join(format!(".{name}.incomplete"));
        remove(&new)?;
        fs::write(&new, commit.as_str()).map_err(|error| cannot_write(&new, &error))?;
        replace(&new, &refs.join(name))
    }

    fn directory(&self, parts: &[&str]) -> Result<PathBuf> {
        let root = directory(&self.cache.root, &[&self.cache.folder])?;
        directory(&root, parts)
    }
}

impl Drop for Installer<'_> {
    fn drop(&mut self) {
        // If that fails, the next download removes it.
        drop(remove(&self.staging));
    }
}

/// Takes the lock; prints a note if another process has it.
fn wait_for(lock: &File, id: &RepositoryId) -> io::Result<()> {
    match lock.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            notes::note(&format!(
                "waiting for another process that downloads `{id}`"
            ));
            lock.lock()
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// `root` joined with `parts`. Missing directories are created; links are refused.
fn directory(root: &Path, parts: &[&str]) -> Result<PathBuf> {
    let mut path = root.to_path_buf();
    for part in parts {
        path.push(part);
        refuse_link(&path)?;
        create_directory(&path).map_err(|error| cannot_write(&path, &error))?;
    }
    Ok(path)
}

fn create_directory(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let is_directory = path.metadata()?.is_dir();
            if is_directory { Ok(()) } else { Err(error) }
        }
        created => created,
    }
}

fn refuse_link(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_symlink() => {
            let error = io::Error::other("it is a link, which may lead out of the cache");
            Err(cannot_write(path, &error))
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(cannot_write(path, &error)),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Removes what is at `path` without following a link.
fn remove(path: &Path) -> Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    removed.map_err(|error| cannot_write(path, &error))
}

fn replace(new: &Path, old: &Path) -> Result<()> {
    fs::rename(new, old).map_err(|error| {
        // The first error is the one to report.
        drop(fs::remove_file(new));
        cannot_write(old, &error)
    })
}

pub(super) fn cannot_write(path: &Path, error: &io::Error) -> Error {
    Error::message(Kind::Hub, io_words(error))
        .context(format!("could not write `{}` in the cache", path.display()))
        .with_tip("choose a writable directory with --cache-dir DIR")
}
