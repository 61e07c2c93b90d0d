//! A safetensors file written tensor by tensor, hashed on the way: base needs no memory for it.
//!
//! The safetensors crate's own writer would need all 440 MB at once.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::formula::Tensor;

/// Writes one safetensors file and gives its sha256 in hex.
pub fn write_safetensors(path: &Path, tensors: &[Tensor], size_bytes: Option<usize>) -> String {
    let file = File::create(path).expect("the directory takes files");
    let mut out = Hashing {
        inner: BufWriter::new(file),
        digest: Sha256::new(),
    };
    let written = out
        .write_all(&header(tensors, size_bytes))
        .and_then(|()| tensors.iter().try_for_each(|tensor| tensor.write(&mut out)))
        .and_then(|()| out.flush());
    written.expect("the disk takes the checkpoint");
    let mut hex = String::new();
    for byte in out.digest.finalize() {
        write!(hex, "{byte:02x}").expect("a string takes everything");
    }
    hex
}

/// The head of the file: length, compact JSON, spaces up to the size wanted.
fn header(tensors: &[Tensor], size_bytes: Option<usize>) -> Vec<u8> {
    let (mut text, mut offset) = (r#"{"__metadata__":{"format":"pt"}"#.to_owned(), 0);
    for tensor in tensors {
        let (name, dtype) = (&tensor.stored_name, tensor.storage.name());
        let shape: Vec<String> = tensor.shape.iter().map(usize::to_string).collect();
        let (shape, end) = (shape.join(","), offset + tensor.size_bytes());
        write!(
            text,
            r#","{name}":{{"dtype":"{dtype}","shape":[{shape}],"data_offsets":[{offset},{end}]}}"#
        )
        .expect("a string takes everything");
        offset = end;
    }
    text.push('}');
    let length = size_bytes.map_or(text.len().next_multiple_of(8), |size| size - offset - 8);
    assert!(
        text.len() <= length,
        "{length} bytes cannot hold the header"
    );
    let mut bytes = (length as u64).to_le_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes.resize(8 + length, b' ');
    bytes
}

/// Hashes what passes through.
struct Hashing<W> {
    inner: W,
    digest: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.digest.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}
