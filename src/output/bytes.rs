//! Integers as little-endian bytes.

use std::io::{self, Write};

/// Writes `values` as i64.
///
/// # Errors
/// Those of `to`.
pub(super) fn write_i64(
    values: impl IntoIterator<Item = i64>,
    to: &mut dyn Write,
) -> io::Result<()> {
    let mut bytes = Vec::new();
    for value in values {
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    to.write_all(&bytes)
}
