//! The files beside the output, FILE.partial, FILE.resume and FILE.assembled: opened so that
//! nothing but a file of this program is ever read, changed or removed.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use sha2::{Digest, Sha256};

use super::fingerprint::Fingerprint;
use crate::hex::hex;

/// The longest name of a file on the usual file systems.
const MAX_NAME_BYTES: usize = 255;

/// How much of a longer name is kept in the names of its side files.
const KEPT_NAME_BYTES: usize = 200;

/// Endings of the side files.
const LONGEST_ENDING: &str = ".assembled";

/// Opens what has the name itself: follows no link, and does not wait for the other end of a pipe.
pub(super) fn reading_as_it_is() -> OpenOptions {
    let mut options = OpenOptions::new();
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    options.read(true).custom_flags(flags);
    options
}

/// A regular file beside the output, with one name and not behind a link.
pub(super) struct SideFile {
    /// Where it was opened.
    pub(super) path: PathBuf,
    /// The open file.
    pub(super) file: File,
    /// Whether this process has created it.
    pub(super) is_new: bool,
}

impl SideFile {
    /// Opens the file at `path` for reading and writing; creates it with `mode` if there is none.
    pub(super) fn open(path: &Path, mode: u32) -> anyhow::Result<Self> {
        let mut options = reading_as_it_is();
        options.write(true);
        loop {
            match options.clone().create_new(true).mode(mode).open(path) {
                Ok(file) => return Ok(Self::new(path, file, true)),
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(could_not_create(path, error));
                }
                Err(_) => {}
            }
            match options.open(path) {
                Ok(file) => {
                    check_ordinary(&file).with_context(|| could_not_use(path))?;
                    return Ok(Self::new(path, file, false));
                }
                // Another process has just removed it.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
                    return Err(anyhow::anyhow!("it is a link").context(could_not_use(path)));
                }
                Err(error) => return Err(anyhow::Error::from(error).context(could_not_use(path))),
            }
        }
    }

    fn new(path: &Path, file: File, is_new: bool) -> Self {
        let path = path.to_owned();
        Self { path, file, is_new }
    }

    /// Bytes that it holds.
    pub(super) fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Drops everything behind the first `size_bytes`, and goes on there.
    pub(super) fn cut(&mut self, size_bytes: u64) -> io::Result<()> {
        self.file.set_len(size_bytes)?;
        self.file.seek(SeekFrom::Start(size_bytes)).map(|_| ())
    }

    /// That of the first `size_bytes`.
    pub(super) fn fingerprint(&mut self, size_bytes: u64) -> io::Result<Fingerprint> {
        self.file.rewind()?;
        Fingerprint::of(&mut (&self.file).take(size_bytes))
    }

    /// Whether its name still leads to it.
    pub(super) fn is_in_place(&self) -> io::Result<bool> {
        match fs::symlink_metadata(&self.path) {
            Ok(there) => {
                let ours = self.file.metadata()?;
                Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino()))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives it `permissions`, and waits until all its bytes are on the disk.
    pub(super) fn make_durable(&self, permissions: Option<&Permissions>) -> anyhow::Result<()> {
        if let Some(permissions) = permissions {
            self.file.set_permissions(permissions.clone())?;
        }
        self.file.sync_all()?;
        Ok(())
    }

    /// Removes the file; one that has taken its name stays.
    pub(super) fn remove(&self) -> anyhow::Result<()> {
        let removed = self.is_in_place().and_then(|is_in_place| {
            if is_in_place {
                remove_if_there(&self.path)
            } else {
                Ok(())
            }
        });
        removed.with_context(|| format!("could not remove `{}`", self.path.display()))
    }

    /// Removes the file if this process has created it, after another error.
    pub(super) fn remove_if_new(&self) {
        if self.is_new {
            // The first error is told; an empty file that stays is used by the next run.
            let _ = self.remove();
        }
    }
}

impl Write for SideFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Removes the file at `path`, if there is one.
pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Makes the names in the directory of `path` outlive a power cut.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    let synced = File::open(directory(path)).and_then(|directory| directory.sync_all());
    match synced {
        // A directory that may not be read, or a file system that does this by itself.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::PermissionDenied | ErrorKind::InvalidInput | ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        synced => synced,
    }
}

/// The path of the side file of `target` with that ending.
///
/// If `target`'s name leaves no room for the ending, the side files have the name's first 200 bytes
/// and 16 digits of its SHA-256.
pub(super) fn beside(target: &Path, ending: &str) -> PathBuf {
    let name = target.file_name().unwrap_or_default().as_bytes();
    let mut name = if name.len() + LONGEST_ENDING.len() <= MAX_NAME_BYTES {
        name.to_vec()
    } else {
        shortened(name)
    };
    name.extend_from_slice(ending.as_bytes());
    target.with_file_name(std::ffi::OsStr::from_bytes(&name))
}

fn shortened(name: &[u8]) -> Vec<u8> {
    let is_first_byte = |&at: &usize| name[at] & 0xc0 != 0x80;
    // Not in the middle of a character.
    let end = (0..=KEPT_NAME_BYTES).rev().find(is_first_byte);
    let hash = Sha256::digest(name);
    let mut short = name[..end.unwrap_or(KEPT_NAME_BYTES)].to_vec();
    short.push(b'-');
    short.extend_from_slice(hex(&hash[..8]).as_bytes());
    short
}

pub(super) fn could_not_use(path: &Path) -> String {
    format!("could not use `{}`", path.display())
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// A file without another name, so that no file of somebody else changes with it.
fn check_ordinary(file: &File) -> anyhow::Result<()> {
    let metadata = file.metadata()?;
    anyhow::ensure!(metadata.is_file(), "it is not a regular file");
    anyhow::ensure!(metadata.nlink() <= 1, "the file has another name too");
    Ok(())
}

/// Names the directory, as nobody has typed the name of a side file.
fn could_not_create(path: &Path, error: io::Error) -> anyhow::Error {
    let directory = directory(path).display();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            anyhow::anyhow!("there is no directory `{directory}`")
        }
        _ => anyhow::Error::from(error)
            .context(format!("the directory `{directory}` could not be written")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_that_a_file_can_have_leaves_room_for_its_side_files() {
        for bytes in [1, 245, 246, 250, 255] {
            for letter in ["x", "é", "中"] {
                let name: String = letter.repeat(bytes / letter.len());
                let path = beside(&Path::new("there").join(&name), LONGEST_ENDING);
                let side = path.file_name().expect("a name").to_str().expect("UTF-8");
                assert!(side.len() <= MAX_NAME_BYTES, "{bytes}");
                assert!(side.ends_with(LONGEST_ENDING));
                let is_whole = name.len() + LONGEST_ENDING.len() <= MAX_NAME_BYTES;
                assert_eq!(side.starts_with(&name), is_whole, "{bytes}");
            }
        }
    }
}
