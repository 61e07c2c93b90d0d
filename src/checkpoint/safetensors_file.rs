//! One `*.safetensors` file: its header read and checked to the last byte, its weights mapped.
//!
//! Owns the format (8 bytes with the header's size, a JSON header, the tensors without gaps; see
//! <https://github.com/huggingface/safetensors>). The checks are those of the `safetensors` crate, done
//! here because its errors do not name the tensor, it takes the last of two equal names, and sums
//! near 2^64 overflow in it; its types are used. Leaves which tensors there should be to `tensors.rs`.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;
use safetensors::tensor::TensorInfo;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};

use super::local_file::{open, refusal, undisguised, words};
use crate::error::{Error, Result};

/// Bytes before the header: its size as a little-endian u64.
const PREAMBLE_BYTES: usize = 8;

/// Most bytes of a header: one of BERT large has 50 KB.
const MAX_HEADER_BYTES: u64 = 16 * 1024 * 1024;

/// A mapped file and the tensors that its header tells of.
pub(super) struct SafetensorsFile {
    pub(super) mapping: Arc<Mmap>,
    /// Where the tensors begin; their `data_offsets` count from here.
    pub(super) data_start: usize,
    /// Offsets, types and shapes agree with each other and with the size of the file.
    pub(super) tensors: BTreeMap<String, TensorInfo>,
}

impl SafetensorsFile {
    /// Maps `path` and reads its header; no page of the tensors is touched.
    ///
    /// # Errors
    /// The file cannot be opened, or its header is not that of a safetensors file of this size.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let (mut file, size_bytes) = open(path)?;
        let start = read_start(&file)?;
        let (data_start, tensors) = read_header(&mut file, &start, size_bytes)
            .map_err(|error| undisguised(&start).err().unwrap_or(error))?;
        check_offsets(&tensors, size_bytes - data_start as u64)?;
        // SAFETY: a mapped file is only as constant as its owner leaves it. The program itself never
        // writes to a model's files, and both the hub's cache and safetensors' own writers replace
        // them by renaming, which leaves the mapped one alone. Whoever overwrites the file in place
        // changes the numbers under us, and who truncates it ends the process by SIGBUS; the other
        // choice is to copy every model into memory of its own at each start.
        let mapping = unsafe { Mmap::map(&file) }.map_err(|cause| {
            refusal(format!(
                "it cannot be mapped into memory: {}",
                words(&cause)
            ))
        })?;
        if mapping.len() as u64 != size_bytes {
            return Err(refusal("it is being written by another program"));
        }
        Ok(Self {
            mapping: Arc::new(mapping),
            data_start,
            tensors,
        })
    }
}

/// The first bytes: enough to know what the file is when it is not what its name says.
fn read_start(file: &File) -> Result<Vec<u8>> {
    let mut start = Vec::new();
    file.take(64)
        .read_to_end(&mut start)
        .map_err(|cause| unreadable(&cause))?;
    Ok(start)
}

/// Where the tensors begin, and the tensors; their offsets are not yet checked.
///
/// The header is read and not mapped, so that a file that shrinks is an error here and not a signal.
fn read_header(
    file: &mut File,
    start: &[u8],
    size_bytes: u64,
) -> Result<(usize, BTreeMap<String, TensorInfo>)> {
    let Some(preamble) = start.first_chunk::<PREAMBLE_BYTES>() else {
        return Err(refusal(format!(
            "it has {size_bytes} bytes, a safetensors file has more than {PREAMBLE_BYTES}"
        )));
    };
    let header_bytes = u64::from_le_bytes(*preamble);
    check_header_size(header_bytes, size_bytes)?;
    let mut header = vec![0; header_bytes as usize];
    file.seek(SeekFrom::Start(PREAMBLE_BYTES as u64))
        .and_then(|_| file.read_exact(&mut header))
        .map_err(|cause| unreadable(&cause))?;
    let Header(tensors) = serde_json::from_slice(&header)
        .map_err(|cause| refusal(format!("its header is not that of safetensors: {cause}")))?;
    Ok((PREAMBLE_BYTES + header.len(), tensors))
}

fn unreadable(cause: &io::Error) -> Error {
    refusal(format!("it cannot be read: {}", words(cause)))
}

/// Refuses a header that is larger than the file or than any model's; nothing is allocated before.
fn check_header_size(header_bytes: u64, size_bytes: u64) -> Result<()> {
    let room = size_bytes.saturating_sub(PREAMBLE_BYTES as u64);
    if header_bytes > room {
        return Err(refusal(format!(
            "it is cut short or no safetensors file: its first bytes announce a header of \
             {header_bytes} bytes, the file has {size_bytes}"
        )));
    }
    if header_bytes > MAX_HEADER_BYTES {
        return Err(refusal(format!(
            "its header has {header_bytes} bytes, allowed are at most {MAX_HEADER_BYTES}"
        )));
    }
    Ok(())
}

/// Refuses tensors that overlap, leave gaps, have other sizes than their shapes, or do not end with
/// the file.
fn check_offsets(tensors: &BTreeMap<String, TensorInfo>, data_bytes: u64) -> Result<()> {
    let mut in_order: Vec<_> = tensors.iter().collect();
    in_order.sort_by_key(|(_, info)| info.data_offsets);
    let mut end = 0;
    for (name, info) in in_order {
        let (start, stop) = info.data_offsets;
        if start != end {
            let trouble = if start < end {
                "overlaps"
            } else {
                "leaves a gap to"
            };
            return Err(refusal(format!(
                "tensor `{name}` begins at byte {start} and {trouble} the one before it, which ends \
                 at {end}"
            )));
        }
        let size_bytes = size_bytes(name, info)?;
        if stop.checked_sub(start) != Some(size_bytes) {
            return Err(refusal(format!(
                "tensor `{name}` needs {size_bytes} bytes, but lies from byte {start} to {stop}"
            )));
        }
        end = stop;
    }
    if end as u64 == data_bytes {
        return Ok(());
    }
    Err(refusal(format!(
        "it is damaged or cut short: its header tells of {end} bytes of tensors, but {data_bytes} \
         bytes follow"
    )))
}

/// The bytes that the tensor's shape and type ask for.
fn size_bytes(name: &str, info: &TensorInfo) -> Result<usize> {
    let elements = info.shape.iter().copied().try_fold(1, usize::checked_mul);
    let bits = elements.and_then(|elements| elements.checked_mul(info.dtype.bitsize()));
    bits.filter(|bits| bits.is_multiple_of(8))
        .map(|bits| bits / 8)
        .ok_or_else(|| {
            refusal(format!(
                "tensor `{name}` has an impossible shape: {}",
                shape_text(&info.shape)
            ))
        })
}

/// `shape` as the header writes it: `[30522, 768]`.
pub(super) fn shape_text(shape: &[usize]) -> String {
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    format!("[{}]", sizes.join(", "))
}

/// The JSON of a header: tensors by name, none twice, and `__metadata__`, whose strings are dropped.
struct Header(BTreeMap<String, TensorInfo>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Header, A::Error> {
        let mut tensors = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<Option<HashMap<String, String>>>()?;
                continue;
            }
            let info = map
                .next_value::<TensorInfo>()
                .map_err(|cause| A::Error::custom(format!("tensor `{name}`: {cause}")))?;
            if tensors.contains_key(&name) {
                return Err(A::Error::custom(format!(
                    "tensor `{name}` stands there twice"
                )));
            }
            tensors.insert(name, info);
        }
        Ok(Header(tensors))
    }
}
