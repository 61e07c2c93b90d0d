//! Whole files as texts, one document per file.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::lines::{MAX_TEXT_BYTES, utf_8};
use super::source::InputFile;
use super::{BadText, Id, InputItem, Place, Text};
use crate::error::{Classify, Error, Kind, Result};

/// The text in `file`. One that cannot be read is bad by itself.
pub(super) fn read(file: &InputFile) -> InputItem {
    let mut bytes = Vec::new();
    let text = file.text(false).and_then(|source| {
        let read = source
            .reader
            .take(MAX_TEXT_BYTES + 1)
            .read_to_end(&mut bytes);
        read.with_context(|| format!("could not read `{}`", file.name))
            .kind(Kind::Input)
    });
    let size_bytes = bytes.len() as u64;
    let place = Place {
        file: file.name_in_records.clone(),
        ..Place::default()
    };
    let id = Some(Id::String(file.path.display().to_string()));
    let whole = match size_bytes {
        0..=MAX_TEXT_BYTES => utf_8(bytes),
        _ => Err("it is longer than 16 MiB".to_owned()),
    };
    let text = match (text, whole) {
        (Ok(_), Ok(text)) => Ok(Text {
            id,
            place,
            ..Text::new(text)
        }),
        (Ok(_), Err(cause)) => Err(BadText {
            id,
            ..BadText::because(cause).at(format_args!("`{}`", file.name), place)
        }),
        (Err(error), _) => Err(BadText {
            id,
            place,
            ..BadText::because(error.to_string())
        }),
    };
    InputItem { text, size_bytes }
}

/// All files in `directory` and below it, sorted by path. Names that begin with a dot are left out;
/// links to files are followed, links to directories are not, so that there are no circles.
///
/// # Errors
/// [`Kind::Input`] if a directory cannot be read.
pub(super) fn below(directory: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = |path: &Path| {
        let what = format!("could not read `{}`", path.display());
        |cause: io::Error| Error::new(Kind::Input, cause).context(what)
    };
    let mut files = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).map_err(unreadable(&directory))? {
            let entry = entry.map_err(unreadable(&directory))?;
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            let path = entry.path();
            let kind = entry.file_type().map_err(unreadable(&path))?;
            if kind.is_dir() {
                directories.push(path);
                continue;
            }
            let metadata = fs::metadata(&path).map_err(unreadable(&path))?;
            if metadata.is_file() {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
