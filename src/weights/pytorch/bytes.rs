//! Pieces of a file that may be cut short.

use crate::checkpoint::local_file::model_error;
use crate::error::{Error, Result};

/// The `size` bytes of `file` from `start` on.
pub(super) fn bytes(file: &[u8], start: usize, size: usize) -> Result<&[u8]> {
    let end = start.checked_add(size);
    end.and_then(|end| file.get(start..end))
        .ok_or_else(cut_short)
}

/// The whole number at `start`, which takes 8 bytes.
pub(super) fn number(file: &[u8], start: usize) -> Result<usize> {
    let number = bytes(file, start, 8)?.try_into().map(i64::from_le_bytes);
    let number = number.ok().and_then(|number| usize::try_from(number).ok());
    number.ok_or_else(cut_short)
}

pub(super) fn cut_short() -> Error {
    model_error("it is damaged or cut short")
}
