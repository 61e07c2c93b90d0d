//! One `*.safetensors` file: its header checked to the last byte, its tensors mapped.
//!
//! The format is 8 bytes with the header's size, a JSON header, and the tensors without gaps
//! (<https://github.com/huggingface/safetensors>). The checks are those of the `safetensors` crate,
//! made here because its errors do not name the tensor, it accepts duplicate names, and its sums
//! can overflow.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use safetensors::tensor::TensorInfo;
use serde::Deserialize;

use super::stored_tensor::{PlacedTensor, StoredTensors, shape_text, stored};
use crate::checkpoint::json::UniqueKeys;
use crate::checkpoint::local_file::{map, model_error, open as open_file, undisguised, words};
use crate::error::{Error, Result};

/// Bytes before the header: its size as a little-endian u64.
const PREAMBLE_BYTES: usize = 8;

/// Most bytes of a header: one of BERT large has 50 KB.
const MAX_HEADER_BYTES: u64 = 16 << 20;

/// The JSON of a header.
#[derive(Deserialize)]
#[serde(expecting = "a JSON object")]
struct Header {
    /// Strings by the writer of the file; only their form is checked.
    #[serde(rename = "__metadata__")]
    _metadata: Option<HashMap<String, String>>,
    #[serde(flatten)]
    tensors: UniqueKeys<TensorInfo>,
}

/// Maps `path`, which messages call `file_name`, and reads its header; no page of the tensors is
/// touched.
///
/// # Errors
/// The file cannot be opened, or its header is not that of a safetensors file of this size.
pub(super) fn open(path: &Path, file_name: &str) -> Result<StoredTensors> {
    let (file, size_bytes) = open_file(path)?;
    let start = read_start(&file)?;
    let (data_start, tensors) = read_header(&file, &start, size_bytes)
        .map_err(|error| undisguised(&start).err().unwrap_or(error))?;
    check_offsets(&tensors, size_bytes - data_start as u64)?;
    let place = |(name, info): (String, TensorInfo)| {
        let place = PlacedTensor {
            dtype: info.dtype,
            shape: info.shape,
            start: data_start + info.data_offsets.0,
            strides: None,
        };
        (name, place)
    };
    let places = tensors.into_iter().map(place);
    Ok(stored(file_name, map(&file, size_bytes)?, places))
}

/// The first bytes: enough to recognize a file that is not what its name says.
fn read_start(file: &File) -> Result<Vec<u8>> {
    let mut start = Vec::new();
    file.take(64)
        .read_to_end(&mut start)
        .map_err(|cause| unreadable(&cause))?;
    Ok(start)
}

/// Where the tensors begin, and the tensors; their offsets are not yet checked.
///
/// The header is read, not mapped, so that a file that shrinks is an error and not a signal.
fn read_header(
    file: &File,
    start: &[u8],
    size_bytes: u64,
) -> Result<(usize, BTreeMap<String, TensorInfo>)> {
    let Some(preamble) = start.first_chunk::<PREAMBLE_BYTES>() else {
        return Err(model_error(format!(
            "it has {size_bytes} bytes, a safetensors file has more than {PREAMBLE_BYTES}"
        )));
    };
    let header_bytes = u64::from_le_bytes(*preamble);
    check_header_size(header_bytes, size_bytes)?;
    let mut header = vec![0; header_bytes as usize];
    file.read_exact_at(&mut header, PREAMBLE_BYTES as u64)
        .map_err(|cause| unreadable(&cause))?;
    let parsed: Header = serde_json::from_slice(&header)
        .map_err(|cause| model_error(format!("its header is not that of safetensors: {cause}")))?;
    let UniqueKeys(tensors) = parsed.tensors;
    Ok((PREAMBLE_BYTES + header.len(), tensors))
}

fn unreadable(cause: &io::Error) -> Error {
    model_error(format!("it could not be read: {}", words(cause)))
}

/// Refuses a header that is larger than the file or than any model's; nothing is allocated before.
fn check_header_size(header_bytes: u64, size_bytes: u64) -> Result<()> {
    let room = size_bytes.saturating_sub(PREAMBLE_BYTES as u64);
    if header_bytes > room {
        return Err(model_error(format!(
            "it is cut short or no safetensors file: its first bytes announce a header of \
             {header_bytes} bytes, the file has {size_bytes}"
        )));
    }
    if header_bytes > MAX_HEADER_BYTES {
        return Err(model_error(format!(
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
            let overlaps = start < end;
            let trouble = if overlaps {
                "overlaps"
            } else {
                "leaves a gap to"
            };
            return Err(model_error(format!(
                "tensor `{name}` begins at byte {start} and {trouble} the one before it, \
                 which ends at {end}"
            )));
        }
        let size_bytes = size_bytes(name, info)?;
        if stop.checked_sub(start) != Some(size_bytes) {
            return Err(model_error(format!(
                "tensor `{name}` needs {size_bytes} bytes, but lies from byte {start} to {stop}"
            )));
        }
        end = stop;
    }
    if end as u64 == data_bytes {
        return Ok(());
    }
    Err(model_error(format!(
        "it is damaged or cut short: its header tells of {end} bytes of tensors, but {data_bytes} \
         bytes follow"
    )))
}

/// The bytes that the tensor's shape and type ask for.
fn size_bytes(name: &str, info: &TensorInfo) -> Result<usize> {
    let elements = info.shape.iter().copied().try_fold(1, usize::checked_mul);
    elements
        .and_then(|elements| elements.checked_mul(info.dtype.bitsize()))
        .filter(|bits| bits.is_multiple_of(8))
        .map(|bits| bits / 8)
        .ok_or_else(|| {
            let shape = shape_text(&info.shape);
            model_error(format!("tensor `{name}` has an impossible shape: {shape}"))
        })
}
