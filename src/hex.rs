//! Hashes in hexadecimal.

/// `bytes` as git and the hub write a hash.
#[must_use]
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits = |byte: &u8| format!("{byte:02x}");
    bytes.iter().map(digits).collect()
}
