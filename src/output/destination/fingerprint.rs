//! The size of a file and its CRC-32, so that changed bytes are noticed.

use std::io::{self, BufReader, Read, Write};

use serde::{Deserialize, Serialize};

/// The size and the checksum of a file, or of its first bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fingerprint {
    pub(super) size_bytes: u64,
    /// The CRC-32 of zip and PNG: computing it takes far less time than writing the bytes.
    pub(super) crc32: u32,
}

impl Fingerprint {
    /// Reads `from` to its end.
    pub(super) fn of(from: &mut impl Read) -> io::Result<Self> {
        let mut from = BufReader::with_capacity(super::BUFFER_BYTES, from);
        let mut all = FingerprintWriter::new(io::sink());
        io::copy(&mut from, &mut all)?;
        Ok(all.written)
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.crc32);
        hasher.update(bytes);
        self.crc32 = hasher.finalize();
        self.size_bytes += bytes.len() as u64;
    }

    /// Returns the fingerprint extended by `bytes`.
    pub(super) fn with(mut self, bytes: &[u8]) -> Self {
        self.add(bytes);
        self
    }
}

/// Computes the fingerprint of what it passes to another writer.
pub(super) struct FingerprintWriter<W> {
    pub(super) to: W,
    pub(super) written: Fingerprint,
}

impl<W: Write> FingerprintWriter<W> {
    pub(super) fn new(to: W) -> Self {
        let written = Fingerprint::default();
        Self { to, written }
    }
}

impl<W: Write> Write for FingerprintWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.written.add(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_checksum_equals_the_checksum_of_all_bytes() {
        let whole = Fingerprint::default().with(b"123456789");
        // The check value of CRC-32/ISO-HDLC.
        assert_eq!((whole.size_bytes, whole.crc32), (9, 0xcbf4_3926));
        let parts = Fingerprint::default().with(b"1234").with(b"56789");
        assert_eq!(parts, whole);
        assert_eq!(Fingerprint::of(&mut &b"123456789"[..]).ok(), Some(whole));
    }
}
