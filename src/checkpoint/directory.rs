//! Looks into a model's directory, and has the words for what is missing there or cannot be used.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::local_file::{self, check_directory, model_error};
use crate::error::{Error, Result};

/// Reads `file` of the model in `directory`, which may hold at most `max_bytes`.
///
/// # Errors
/// It is missing, larger, not what its name says, or cannot be opened.
pub(crate) fn read(directory: &Path, file: &str, max_bytes: u64) -> Result<Vec<u8>> {
    first_of(directory, &[file])?;
    let path = directory.join(file);
    local_file::read(&path, max_bytes).map_err(|error| unusable(&path, error))
}

/// `error` as the reason why the file at `path` cannot be used.
pub(crate) fn unusable(path: &Path, error: Error) -> Error {
    error.context(format!("could not use `{}`", path.display()))
}

/// Whether `name`, which a file gives, is one inside the directory of the file.
pub(crate) fn is_inside(name: &str) -> bool {
    !name.starts_with('.')
        && !name.contains(['/', '\\', ':', '%'])
        && !name.contains(char::is_control)
}

/// The first of `files` that is in `directory`. A link that leads nowhere counts as there: opening
/// it gives the better error.
pub(crate) fn first_of<'a>(directory: &Path, files: &[&'a str]) -> Result<&'a str> {
    check_directory(directory)?;
    let found = files.iter().find(|file| is_there(directory, file));
    found.copied().ok_or_else(|| {
        let substitutes = files[1..].iter().map(|file| format!(" (or `{file}`)"));
        let wanted = format!("`{}`{}", files[0], substitutes.collect::<String>());
        missing(directory, &wanted, model_error(holdings(directory)))
    })
}

/// Whether `directory` has an entry `file`. If the system could not look, it counts as there, and
/// opening it tells why.
pub(crate) fn is_there(directory: &Path, file: impl AsRef<Path>) -> bool {
    let found = directory.join(file).symlink_metadata();
    !found.is_err_and(|cause| cause.kind() == ErrorKind::NotFound)
}

pub(crate) fn missing(directory: &Path, wanted: &str, cause: Error) -> Error {
    cause.context(format!("there is no {wanted} in `{}`", directory.display()))
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
pub(crate) fn holdings(directory: &Path) -> String {
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
