//! Decides whether a model's file exists and can be used, and if not, why.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use memmap2::Mmap;

use crate::error::{Error, Kind, Result, io_words};

pub(crate) const VOCABULARY: &str = "vocab.txt";

pub(crate) fn model_error(message: impl Display) -> Error {
    Error::message(Kind::Model, message)
}

/// What could not be done, for the error of a file.
pub(crate) fn could_not_use(path: &Path) -> String {
    format!("could not use `{}`", path.display())
}

/// Whether `directory` has an entry `file`. True for a dangling link, or if the system could not
/// look: opening the file gives the better error.
pub(crate) fn has(directory: &Path, file: impl AsRef<Path>) -> bool {
    let found = directory.join(file).symlink_metadata();
    !found.is_err_and(|cause| cause.kind() == ErrorKind::NotFound)
}

/// Whether `name`, which a file of the model gives, is a plain name inside the same directory.
pub(crate) fn is_plain_name(name: &str) -> bool {
    !name.starts_with('.')
        && !name.contains(['/', '\\', ':', '%'])
        && !name.contains(char::is_control)
}

/// The first of `files` that is in `directory`.
pub(crate) fn find<'a>(directory: &Path, files: &[&'a str]) -> Result<&'a str> {
    check_directory(directory)?;
    let found = files.iter().find(|file| has(directory, file));
    found.copied().ok_or_else(|| {
        let substitutes = files[1..].iter().map(|file| format!(" (or `{file}`)"));
        let wanted = format!("`{}`{}", files[0], substitutes.collect::<String>());
        missing(directory, &wanted, &contents(directory))
    })
}

/// Reads `file` in `directory`.
///
/// # Errors
/// It is missing, has more than `max_bytes`, is not what its name says, or cannot be read.
pub(crate) fn read(directory: &Path, file: impl AsRef<Path>, max_bytes: u64) -> Result<Vec<u8>> {
    let file = file.as_ref();
    find(directory, &[&*file.to_string_lossy()])?;
    let path = directory.join(file);
    let content = open(&path).and_then(|(opened, size_bytes)| {
        if size_bytes > max_bytes {
            return Err(model_error(format!(
                "it has {size_bytes} bytes, allowed are at most {max_bytes}"
            )));
        }
        let mut content = Vec::new();
        let mut opened = opened.take(max_bytes);
        opened.read_to_end(&mut content).map_err(unreadable)?;
        // A vocabulary may start with `<s>`, as a web page does, or with a byte order mark.
        if file != Path::new(VOCABULARY) {
            refuse_disguised(&content)?;
        }
        Ok(content)
    });
    content.map_err(|error| error.context(could_not_use(&path)))
}

/// As [`read`]; `None` if there is no such file.
pub(crate) fn read_optional(
    directory: &Path,
    file: impl AsRef<Path>,
    max_bytes: u64,
) -> Result<Option<Vec<u8>>> {
    has(directory, &file)
        .then(|| read(directory, file, max_bytes))
        .transpose()
}

/// Opens the regular file `path`, following links, and returns its size in bytes.
///
/// Only regular files: opening a named pipe would wait for a writer, and `/dev/zero` has no end.
///
/// # Errors
/// The file is missing, a dangling link, unreadable or not a regular file.
pub(crate) fn open(path: &Path) -> Result<(File, u64)> {
    let metadata = fs::metadata(path).map_err(|cause| not_found(path, cause))?;
    if metadata.is_dir() {
        return Err(model_error("it is a directory, not a file"));
    }
    if !metadata.is_file() {
        return Err(model_error(
            "it is a pipe, a socket or a device, not a file",
        ));
    }
    let file = File::open(path).map_err(unreadable)?;
    let size_bytes = file.metadata().map_err(unreadable)?.len();
    Ok((file, size_bytes))
}

/// Maps the whole of `file`, which had `size_bytes` when it was opened.
///
/// # Errors
/// The system cannot map it, or its size has changed.
pub(crate) fn map(file: &File, size_bytes: u64) -> Result<Mmap> {
    // SAFETY: this program never writes to a model's files, and both the hub's cache and
    // safetensors' own writers replace a file by renaming, which leaves a mapped one unchanged. A
    // program that overwrites the file in place changes the weights under us, and one that
    // truncates it raises SIGBUS: `WeightGuard` turns both into an error. The alternative is to
    // copy every model into memory at each start.
    let mapping = unsafe { Mmap::map(file) }.map_err(|cause| {
        let kind = match cause.kind() {
            ErrorKind::OutOfMemory => Kind::Device,
            _ => Kind::Model,
        };
        Error::new(kind, cause).context("it could not be mapped into memory")
    })?;
    if mapping.len() as u64 != size_bytes {
        return Err(model_error("it is being written by another program"));
    }
    Ok(mapping)
}

/// Refuses what is often found in place of a model file, recognized by its first bytes.
///
/// For a safetensors file, call this only after its header was refused: the first bytes of a good
/// one are a size and can be anything.
///
/// # Errors
/// `start` is the start of a Git LFS pointer, a web page, an archive, or consists of zeros.
pub(crate) fn refuse_disguised(start: &[u8]) -> Result<()> {
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
        "it begins with zeros only, like a download that was cut short"
    } else {
        return Ok(());
    };
    Err(model_error(disguise))
}

/// Refuses a `directory` that cannot be read, before one of its files gets the blame.
///
/// # Errors
/// `directory` is missing, a dangling link, unreadable or a file.
pub(crate) fn check_directory(directory: &Path) -> Result<()> {
    let checked = match fs::metadata(directory) {
        Err(cause) => Err(not_found(directory, cause)),
        Ok(metadata) if !metadata.is_dir() => Err(model_error("it is a file, not a directory")),
        Ok(_) => fs::read_dir(directory)
            .map(drop)
            .map_err(|cause| unreadable(cause).context("the directory could not be read")),
    };
    checked.map_err(|error| {
        error.context(format!(
            "could not read the model in `{}`",
            directory.display()
        ))
    })
}

/// Why `path` could not be found; a dangling link is distinguished from a missing file.
fn not_found(path: &Path, cause: io::Error) -> Error {
    match fs::read_link(path) {
        Ok(target) if cause.kind() == ErrorKind::NotFound => model_error(format!(
            "it is a link to `{}`, which does not exist",
            target.display()
        )),
        _ => unreadable(cause),
    }
}

/// Why the system could not open or read a file.
#[expect(clippy::needless_pass_by_value, reason = "it is passed to map_err")]
pub(crate) fn unreadable(cause: io::Error) -> Error {
    match cause.kind() {
        ErrorKind::NotFound => model_error("it does not exist"),
        ErrorKind::NotADirectory => model_error("a part of its path is a file, not a directory"),
        _ => model_error(io_words(&cause)),
    }
}

pub(crate) fn missing(directory: &Path, wanted: &str, cause: &str) -> Error {
    model_error(cause).context(format!("there is no {wanted} in `{}`", directory.display()))
}

/// The names in `directory`, sorted; at most 1,000 of them.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    // They only add to the message of another error.
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .take(1_000)
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    names.sort();
    names
}

/// What `directory` holds, for a message: at most eight names.
pub(crate) fn contents(directory: &Path) -> String {
    const SHOWN: usize = 8;
    let names = names(directory);
    let listed: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{name}`"))
        .collect();
    match names.len().saturating_sub(SHOWN) {
        _ if names.is_empty() => "the directory is empty".to_owned(),
        0 => format!("the directory holds {}", listed.join(", ")),
        more => format!("the directory holds {} and {more} more", listed.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_disguise_is_recognized_by_its_first_bytes() {
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
            let message = refuse_disguised(start).expect_err(word).to_string();
            assert!(message.contains(word), "{message}");
        }
        for start in [&b"{\"a\": 1}"[..], b"", b"\x40\0\0\0\0\0\0\0{"] {
            assert!(refuse_disguised(start).is_ok());
        }
    }
}
