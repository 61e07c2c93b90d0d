//! Reads a file that an environment variable names, with a limit.

use std::io::Read;
use std::path::Path;

use crate::checkpoint::directory;
use crate::error::{Error, Kind, Result, io_words};

/// The content of the regular file `path`.
///
/// # Errors
/// [`Kind::Usage`]: it is missing, unreadable, not a regular file, or has more than `max_bytes`.
pub(super) fn read(path: &Path, max_bytes: u64) -> Result<Vec<u8>> {
    let refused = |cause: String| Error::message(Kind::Usage, cause);
    let (file, _) = directory::open(path).map_err(|error| refused(error.to_string()))?;
    let mut content = Vec::new();
    // A file in /proc has no size.
    file.take(max_bytes + 1)
        .read_to_end(&mut content)
        .map_err(|cause| refused(io_words(&cause)))?;
    if content.len() as u64 > max_bytes {
        return Err(refused(format!("it has more than {max_bytes} bytes")));
    }
    Ok(content)
}
