//! Whole files as texts, one document per file.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::lines::utf_8;
use super::source::{InputFile, could_not_read};
use super::text::MAX_TEXT_BYTES;
use super::{BadText, Id, InputItem, Place, Text};
use crate::error::{Error, Kind, Result};

/// The text in `file`. If it cannot be read, only this text is bad.
pub(super) fn read(file: &InputFile) -> InputItem {
    let mut bytes = Vec::new();
    let read = read_into(&mut bytes, file);
    let size_bytes = bytes.len() as u64;
    let id = Some(Id::String(file.path.display().to_string()));
    let place = Place {
        file: file.name_in_records.clone(),
        ..Place::default()
    };
    let text = match read.and_then(|()| text(bytes, &file.name)) {
        Ok(text) => Ok(Text {
            id,
            place,
            ..Text::new(text)
        }),
        Err(error) => Err(BadText {
            id,
            place,
            ..BadText::because(error.to_string())
        }),
    };
    InputItem {
        text,
        size_bytes,
        skipped: 0,
    }
}

fn read_into(bytes: &mut Vec<u8>, file: &InputFile) -> Result<()> {
    let mut source = file.text(false)?;
    let mut limited = (&mut source.reader).take(MAX_TEXT_BYTES + 1);
    let read = limited.read_to_end(bytes);
    read.map(|_| ()).map_err(|cause| source.failed(cause))
}

fn text(bytes: Vec<u8>, name: &str) -> Result<String> {
    let text = match bytes.len() as u64 {
        0..=MAX_TEXT_BYTES => utf_8(bytes),
        _ => Err("it is longer than 16 MiB".to_owned()),
    };
    text.map_err(|cause| Error::message(Kind::Input, cause).context(could_not_read(name)))
}

/// All files in `directory` and below it, sorted by path. Names that begin with a dot are left out;
/// links to files are followed, links to directories are not, so that there are no cycles.
pub(super) fn below(directory: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = |path: &Path| {
        let what = could_not_read(&path.display().to_string());
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
