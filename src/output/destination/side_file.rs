//! The files next to the output, FILE.partial, FILE.resume and FILE.assembled: opened so that only
//! files of this program are ever read, changed or removed.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::fingerprint::Fingerprint;
use crate::hex::hex;

/// The longest file name on the usual file systems.
const MAX_NAME_BYTES: usize = 255;

/// How much of a longer name is kept in the names of its side files.
const KEPT_NAME_BYTES: usize = 200;

const LONGEST_ENDING: &str = ".assembled";

/// For reading a file by its own name: does not follow a link or wait for the writer of a pipe.
pub(super) fn open_no_follow() -> OpenOptions {
    let mut options = OpenOptions::new();
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    options.read(true).custom_flags(flags);
    options
}

/// A regular file next to the output, with one name and not reached through a link.
pub(super) struct SideFile {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) is_new: bool,
}

impl SideFile {
    /// Opens the file at `path` for reading and writing; creates it with `mode` if there is none.
    pub(super) fn open(path: &Path, mode: u32) -> Result<Self> {
        let mut options = open_no_follow();
        options.write(true);
        let (file, is_new) = loop {
            match options.clone().create_new(true).mode(mode).open(path) {
                Ok(file) => break (Ok(file), true),
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(could_not_create(path, error));
                }
                Err(_) => {}
            }
            match options.open(path) {
                // Another process has just removed it.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
                    break (Err(anyhow::anyhow!("it is a link")), false);
                }
                Err(error) => break (Err(error.into()), false),
                Ok(file) => break (ordinary(file), false),
            }
        };
        Ok(Self {
            path: path.to_owned(),
            file: file.with_context(|| could_not_use(path))?,
            is_new,
        })
    }

    pub(super) fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Drops everything after the first `size_bytes`, where the next write goes.
    pub(super) fn truncate(&mut self, size_bytes: u64) -> io::Result<()> {
        self.file.set_len(size_bytes)?;
        self.file.seek(SeekFrom::Start(size_bytes)).map(|_| ())
    }

    /// The fingerprint of the first `size_bytes`.
    pub(super) fn fingerprint(&mut self, size_bytes: u64) -> io::Result<Fingerprint> {
        self.file.rewind()?;
        Fingerprint::of(&mut (&self.file).take(size_bytes))
    }

    /// Whether its path still leads to this file.
    pub(super) fn is_in_place(&self) -> io::Result<bool> {
        match fs::symlink_metadata(&self.path) {
            Ok(found) => {
                let opened = self.file.metadata()?;
                Ok((found.dev(), found.ino()) == (opened.dev(), opened.ino()))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives it `permissions`, and waits until all its bytes are on disk.
    pub(super) fn make_durable(&self, permissions: Option<&Permissions>) -> io::Result<()> {
        if let Some(permissions) = permissions {
            self.file.set_permissions(permissions.clone())?;
        }
        self.file.sync_all()
    }

    /// Removes the file, but not another one that has taken its name.
    pub(super) fn remove(&self) -> Result<()> {
        let removed = match self.is_in_place() {
            Ok(true) => remove_if_exists(&self.path),
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        removed.with_context(|| format!("could not remove `{}`", self.path.display()))
    }

    /// Removes the file after another error, if this process has created it.
    pub(super) fn remove_if_new(&self) {
        if self.is_new {
            // Only the first error is reported; the next run uses an empty file that stays.
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

pub(super) fn remove_if_exists(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Makes the names in the directory of `path` survive a power cut.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    use ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    let synced = File::open(directory(path)).and_then(|directory| directory.sync_all());
    match synced.as_ref().map_err(io::Error::kind) {
        // The directory cannot be opened, or the file system needs no sync.
        Err(PermissionDenied | InvalidInput | Unsupported) => Ok(()),
        _ => synced,
    }
}

/// `target` with `ending` after its name.
///
/// If the name leaves no room for the ending, the side files have the name's first 200 bytes and 16
/// digits of its SHA-256.
pub(super) fn side_path(target: &Path, ending: &str) -> PathBuf {
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

/// The tip if the output of the side file at `path` cannot be resumed.
pub(super) fn start_over_tip(path: &Path) -> String {
    let [data, resume] = ["partial", "resume"].map(|ending| path.with_extension(ending));
    let (data, resume) = (data.display(), resume.display());
    format!("remove `{data}` and `{resume}` to start over")
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Refuses a file with a second name, which would change with it.
fn ordinary(file: File) -> Result<File> {
    let metadata = file.metadata()?;
    anyhow::ensure!(metadata.is_file(), "it is not a regular file");
    anyhow::ensure!(metadata.nlink() <= 1, "the file has another name too");
    Ok(file)
}

/// Names the directory, because the user did not type the name of a side file.
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
                let path = side_path(&Path::new("there").join(&name), LONGEST_ENDING);
                let side = path.file_name().expect("a name").to_str().expect("UTF-8");
                assert!(side.len() <= MAX_NAME_BYTES, "{bytes}");
                assert!(side.ends_with(LONGEST_ENDING));
                let is_whole = name.len() + LONGEST_ENDING.len() <= MAX_NAME_BYTES;
                assert_eq!(side.starts_with(&name), is_whole, "{bytes}");
            }
        }
    }
}
