//! One `*.safetensors` file → its tensors, mapped.
//!
//! The format is 8 bytes with the header's size, a JSON header, and the tensors without gaps
//! (<https://github.com/huggingface/safetensors>). The `safetensors` crate makes the same checks,
//! but its errors do not name the tensor and it accepts duplicate names.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use safetensors::tensor::TensorInfo;
use serde::Deserialize;

use super::stored_tensor::{PlacedTensor, StoredTensors, shape_text, stored};
use crate::checkpoint::directory::{map, open as open_file, refuse_disguised, unreadable};
use crate::checkpoint::json::{JsonObject, unique_keys};
use crate::error::{self, Classify, Kind};

/// Bytes before the header: its size as a little-endian u64.
const PREAMBLE_BYTES: usize = 8;

/// The size limit of a header: BERT large's has 50 KB.
const MAX_HEADER_BYTES: u64 = 16 << 20;

#[derive(Deserialize)]
#[serde(expecting = "a JSON object")]
struct Header {
    /// Notes of the file's writer; only their types are checked.
    #[serde(rename = "__metadata__")]
    _metadata: Option<HashMap<String, String>>,
    #[serde(flatten, deserialize_with = "unique_keys")]
    tensors: JsonObject<TensorInfo>,
}

/// Maps `path`, which messages call `file_name`, and reads its header; no page of the tensors is
/// touched.
///
/// # Errors
/// The file cannot be opened, or its header does not describe a safetensors file of this size.
pub(super) fn open(path: &Path, file_name: &str) -> error::Result<StoredTensors> {
    let (file, size_bytes) = open_file(path)?;
    // Enough to recognize a file that is not what its name says.
    let mut start = Vec::new();
    let read = (&file).take(64).read_to_end(&mut start);
    read.map_err(|cause| unreadable(cause).context("it could not be read"))?;
    let (data_start, tensors) = read_header(&file, &start, size_bytes)
        .kind(Kind::Model)
        .map_err(|error| refuse_disguised(&start).err().unwrap_or(error))?;
    check_offsets(&tensors, size_bytes - data_start as u64).kind(Kind::Model)?;
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

/// The offset of the tensors in the file, and the tensors; their own offsets are not checked yet.
///
/// The header is read, not mapped, so that a file that shrinks is an error and not a signal.
fn read_header(
    file: &File,
    start: &[u8],
    size_bytes: u64,
) -> Result<(usize, BTreeMap<String, TensorInfo>)> {
    let preamble = start.first_chunk::<PREAMBLE_BYTES>().with_context(|| {
        format!("it has {size_bytes} bytes, a safetensors file has more than {PREAMBLE_BYTES}")
    })?;
    let header_bytes = u64::from_le_bytes(*preamble);
    // Nothing is allocated before these checks.
    ensure!(
        header_bytes <= size_bytes.saturating_sub(PREAMBLE_BYTES as u64),
        "it is cut short or not a safetensors file: its first bytes announce a header of \
         {header_bytes} bytes, the file has {size_bytes}"
    );
    ensure!(
        header_bytes <= MAX_HEADER_BYTES,
        "its header has {header_bytes} bytes, allowed are at most {MAX_HEADER_BYTES}"
    );
    let mut header = vec![0; header_bytes as usize];
    file.read_exact_at(&mut header, PREAMBLE_BYTES as u64)
        .context("it could not be read")?;
    let parsed: Header =
        serde_json::from_slice(&header).context("it does not have a safetensors header")?;
    let tensors = parsed.tensors.into_iter().collect();
    Ok((PREAMBLE_BYTES + header.len(), tensors))
}

/// Refuses tensors that overlap, leave gaps, do not have the size of their shapes, or do not end
/// with the file.
fn check_offsets(tensors: &BTreeMap<String, TensorInfo>, data_bytes: u64) -> Result<()> {
    let mut in_order: Vec<_> = tensors.iter().collect();
    in_order.sort_by_key(|(_, info)| info.data_offsets);
    let mut end = 0;
    for (name, info) in in_order {
        let (start, stop) = info.data_offsets;
        if start != end {
            let problem = if start < end {
                "overlaps"
            } else {
                "leaves a gap to"
            };
            bail!(
                "tensor `{name}` begins at byte {start} and {problem} the one before it, \
                 which ends at {end}"
            );
        }
        let size_bytes = size_bytes(name, info)?;
        ensure!(
            stop.checked_sub(start) == Some(size_bytes),
            "tensor `{name}` needs {size_bytes} bytes, but its offsets are {start} to {stop}"
        );
        end = stop;
    }
    ensure!(
        end as u64 == data_bytes,
        "it is damaged or cut short: its header announces {end} bytes of tensors, but {data_bytes} \
         bytes follow"
    );
    Ok(())
}

/// The bytes that the tensor's shape and type require.
fn size_bytes(name: &str, info: &TensorInfo) -> Result<usize> {
    let elements = info.shape.iter().copied().try_fold(1, usize::checked_mul);
    elements
        .and_then(|elements| elements.checked_mul(info.dtype.bitsize()))
        .filter(|bits| bits.is_multiple_of(8))
        .map(|bits| bits / 8)
        .ok_or_else(|| {
            let shape = shape_text(&info.shape);
            anyhow!("tensor `{name}` has an impossible shape: {shape}")
        })
}
