//! Hashes in hexadecimal.

/// `bytes` as git and the hub write a hash.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits = |byte: &u8| format!("{byte:02x}");
    bytes.iter().map(digits).collect()
}
