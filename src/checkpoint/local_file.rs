//! Opens and reads one file of a model directory, and says why it cannot be used: it is missing, a
//! dangling link, unreadable, or not what its name says (a Git LFS pointer, a saved web page).

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use memmap2::Mmap;

use crate::error::{Error, Kind, Result, io_words};

/// An error of the model's files.
pub(crate) fn model_error(message: impl Display) -> Error {
    Error::message(Kind::Model, message)
}

/// Opens the regular file `path`, following links, and gives its size in bytes.
///
/// Only regular files: opening a named pipe would wait for a writer, and `/dev/zero` has no end.
///
/// # Errors
/// The file is missing, a dangling link, unreadable or not a regular file.
pub(crate) fn open(path: &Path) -> Result<(File, u64)> {
    let metadata = fs::metadata(path).map_err(|cause| not_there(path, &cause))?;
    if metadata.is_dir() {
        return Err(model_error("it is a directory, not a file"));
    }
    if !metadata.is_file() {
        return Err(model_error(
            "it is a pipe, a socket or a device, not a file",
        ));
    }
    let file = File::open(path).map_err(|cause| model_error(words(&cause)))?;
    let size_bytes = file
        .metadata()
        .map_err(|cause| model_error(words(&cause)))?
        .len();
    Ok((file, size_bytes))
}

/// Reads the whole of `path`, which may hold at most `max_bytes`.
///
/// # Errors
/// As [`open`]; the file is larger than `max_bytes`, cannot be read, or is in disguise.
pub(crate) fn read(path: &Path, max_bytes: u64) -> Result<Vec<u8>> {
    let content = read_any(path, max_bytes)?;
    undisguised(&content)?;
    Ok(content)
}

/// The same for a file that may begin with any bytes.
///
/// # Errors
/// As [`open`]; the file is larger than `max_bytes` or cannot be read.
pub(crate) fn read_any(path: &Path, max_bytes: u64) -> Result<Vec<u8>> {
    let (file, size_bytes) = open(path)?;
    if size_bytes > max_bytes {
        return Err(model_error(format!(
            "it has {size_bytes} bytes, allowed are at most {max_bytes}"
        )));
    }
    let mut content = Vec::new();
    file.take(max_bytes)
        .read_to_end(&mut content)
        .map_err(|cause| model_error(words(&cause)))?;
    Ok(content)
}

/// Refuses what is often found in place of a model file, recognized by its first bytes.
///
/// For a safetensors file, call this only after its header was refused: the first bytes of a good
/// one are a number and can be anything.
///
/// # Errors
/// `start` is that of a Git LFS pointer, a web page, an archive or a file of zeros only.
pub(crate) fn undisguised(start: &[u8]) -> Result<()> {
    let text = start.trim_ascii_start();
    let is_tag = |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b'!' | b'?');
    if text.starts_with(b"version https://git-lfs") {
        return Err(
            model_error("it is a Git LFS pointer, not the file itself").with_tip("git lfs pull")
        );
    }
    let disguise = if text.first() == Some(&b'<') && text.get(1).is_some_and(is_tag) {
        "it is a web page (HTML or XML), not the file itself"
    } else if start.starts_with(b"PK\x03\x04") {
        "it is a zip archive (perhaps a pickle of PyTorch)"
    } else if start.starts_with(b"\x1f\x8b") {
        "it is compressed with gzip"
    } else if start.starts_with(b"\xef\xbb\xbf") {
        "it begins with a byte order mark (BOM)"
    } else if start.len() >= 16 && start.iter().all(|&byte| byte == 0) {
        "it begins with zeros only, as a download that was cut short"
    } else {
        return Ok(());
    };
    Err(model_error(disguise))
}

/// Maps the whole of `file`, which had `size_bytes` when it was opened.
///
/// # Errors
/// The system cannot map it, or its size has changed.
pub(crate) fn map(file: &File, size_bytes: u64) -> Result<Mmap> {
    // SAFETY: a mapped file is only as constant as its owner leaves it. This program never writes
    // to a model's files, and both the hub's cache and safetensors' own writers replace them by
    // renaming, which leaves the mapped one alone. Whoever overwrites the file in place changes the
    // numbers under us, and whoever truncates it ends the process by SIGBUS; the other choice is to
    // copy every model into memory of its own at each start.
    let mapping = unsafe { Mmap::map(file) }.map_err(|cause| {
        let kind = match cause.kind() {
            io::ErrorKind::OutOfMemory => Kind::Device,
            _ => Kind::Model,
        };
        Error::new(kind, cause).context("it could not be mapped into memory")
    })?;
    if mapping.len() as u64 != size_bytes {
        return Err(model_error("it is being written by another program"));
    }
    Ok(mapping)
}

/// Refuses a `directory` that is not one, before one of its files gets the blame.
///
/// # Errors
/// `directory` is missing, a dangling link, unreadable or a file.
pub(crate) fn check_directory(directory: &Path) -> Result<()> {
    open_directory(directory).map_err(|error| {
        error.context(format!(
            "could not read the model in `{}`",
            directory.display()
        ))
    })
}

fn open_directory(directory: &Path) -> Result<()> {
    let metadata = fs::metadata(directory).map_err(|cause| not_there(directory, &cause))?;
    if !metadata.is_dir() {
        return Err(model_error("it is a file, not a directory"));
    }
    fs::read_dir(directory).map(drop).map_err(|cause| {
        model_error(format!(
            "the directory could not be read: {}",
            words(&cause)
        ))
    })
}

/// Why `path` cannot be opened; distinguishes a dangling link from a missing file.
fn not_there(path: &Path, cause: &io::Error) -> Error {
    match fs::read_link(path) {
        Ok(target) if cause.kind() == ErrorKind::NotFound => model_error(format!(
            "it is a link to `{}`, which does not exist",
            target.display()
        )),
        _ => model_error(words(cause)),
    }
}

/// The system's reason in this program's words.
pub(crate) fn words(cause: &io::Error) -> String {
    match cause.kind() {
        ErrorKind::NotFound => "it does not exist".to_owned(),
        ErrorKind::NotADirectory => "a part of its path is a file, not a directory".to_owned(),
        _ => io_words(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_for_a_model_file_is_told_by_its_first_bytes() {
        let cases: [(&[u8], &str); 6] = [
            (
                b"version https://git-lfs.github.com/spec/v1\noid",
                "Git LFS",
            ),
            (b"\n <!DOCTYPE html><html>", "web page"),
            (b"PK\x03\x04....", "zip archive"),
            (b"\x1f\x8b\x08", "gzip"),
            (b"\xef\xbb\xbf{}", "byte order mark"),
            (&[0; 64], "zeros only"),
        ];
        for (start, word) in cases {
            let message = undisguised(start).expect_err(word).to_string();
            assert!(message.contains(word), "{message}");
        }
        for start in [&b"{\"a\": 1}"[..], b"", b"\x40\0\0\0\0\0\0\0{"] {
            assert!(undisguised(start).is_ok());
        }
    }
}
