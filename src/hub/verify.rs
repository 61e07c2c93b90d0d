//! Checks files against their hashes.
//!
//! A blob in the cache is named by its hash: 40 digits are git's SHA-1, of `blob <size>\0` and the
//! content; 64 digits are the SHA-256 of a file in large file storage. Downloads are hashed before
//! they enter the cache. Other programs' blobs are hashed at each use if they are small, otherwise
//! only by [`verify`]: the cache has no place to record that a blob was checked.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::repository::is_lower_hex;
use super::snapshot::Snapshot;
use crate::checkpoint::{files, modules};
use crate::error::{Classify, Kind, Result};
use crate::hex::hex;

/// Files up to 4 MiB take under 10 ms to hash; every file of a model but its weights is smaller.
const SMALL_BYTES: u64 = 4 << 20;

/// The hash of a file's content, as the hub names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BlobHash {
    /// SHA-1 over git's header and the content.
    Git(String),
    Sha256(String),
}

impl BlobHash {
    /// From a blob's file name or an etag.
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name.len() {
            40 if is_lower_hex(name) => Some(Self::Git(name.to_owned())),
            64 if is_lower_hex(name) => Some(Self::Sha256(name.to_owned())),
            _ => None,
        }
    }

    pub(super) fn digits(&self) -> &str {
        match self {
            Self::Git(digits) | Self::Sha256(digits) => digits,
        }
    }

    pub(super) fn matches(&self, path: &Path) -> io::Result<bool> {
        let found = match self {
            Self::Git(_) => git_sha1(path)?,
            Self::Sha256(_) => sha256(path)?,
        };
        Ok(found == self.digits())
    }
}

/// The hash of one file of a model, computed and, if the cache has one, expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileHash {
    /// The file's name in the model's directory.
    pub file: String,
    /// The hash of its content: SHA-1 as git computes it if that is expected, else SHA-256.
    pub found: String,
    /// The hub's hash; `None` outside a hub's cache.
    pub expected: Option<String>,
}

impl FileHash {
    /// Whether the content is the expected one, if one is expected.
    #[must_use]
    pub fn matches(&self) -> Option<bool> {
        let expected = self.expected.as_ref()?;
        Some(*expected == self.found)
    }
}

/// Hashes every file that the model has, weights included.
///
/// # Errors
/// [`Kind::Model`]: a file is missing or cannot be read.
pub fn verify(snapshot: &Snapshot) -> Result<Vec<FileHash>> {
    let (root, directory) = (&snapshot.root, &snapshot.directory);
    let model = files::model_files(directory, true)?.into_iter();
    let of_modules = modules::files(root, directory).into_iter();
    let model = model.map(|file| (directory, file));
    model
        .chain(of_modules.map(|file| (root, file)))
        .map(|(folder, file)| {
            let path = folder.join(&file);
            let (found, expected) = hash(&path)
                .kind(Kind::Model)
                .map_err(|error| error.context(format!("could not verify `{}`", path.display())))?;
            Ok(FileHash {
                file,
                found,
                expected,
            })
        })
        .collect()
}

/// Returns (found, expected).
fn hash(path: &Path) -> io::Result<(String, Option<String>)> {
    let blob = path.canonicalize()?;
    let expected = named_hash(&blob);
    let found = match expected {
        Some(BlobHash::Git(_)) => git_sha1(&blob)?,
        _ => sha256(&blob)?,
    };
    Ok((found, expected.map(|hash| hash.digits().to_owned())))
}

pub(super) fn is_small_and_damaged(blob: &Path) -> io::Result<bool> {
    match named_hash(blob) {
        Some(hash) if blob.metadata()?.len() <= SMALL_BYTES => Ok(!hash.matches(blob)?),
        _ => Ok(false),
    }
}

/// The hash in the name of a cache's blob.
fn named_hash(blob: &Path) -> Option<BlobHash> {
    let in_blobs = blob.parent()?.file_name()? == "blobs";
    BlobHash::parse(blob.file_name()?.to_str()?).filter(|_| in_blobs)
}

fn git_sha1(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    let header = format!("blob {}\0", file.metadata()?.len());
    digest(Sha1::new_with_prefix(header), file)
}

fn sha256(path: &Path) -> io::Result<String> {
    digest(Sha256::new(), File::open(path)?)
}

fn digest(mut hasher: impl Digest, mut file: File) -> io::Result<String> {
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    Ok(hex(&hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hashes_are_those_of_git_and_of_sha256sum() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("hello");
        std::fs::write(&path, "hello\n").expect("a file");
        // `printf 'hello\n' | git hash-object --stdin` and `| sha256sum`.
        let git = "ce013625030ba8dba906f756967f9e9ca394464a";
        let sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        for digits in [git, sha256] {
            let hash = BlobHash::parse(digits).expect("a hash");
            assert!(hash.matches(&path).expect("a readable file"), "{digits}");
        }
    }

    #[test]
    fn an_etag_that_is_not_a_hash_is_none() {
        for etag in ["", "..", "../../x", "abc", &"g".repeat(40), &"A".repeat(64)] {
            assert_eq!(BlobHash::parse(etag), None, "{etag}");
        }
    }
}
