//! One `pytorch_model.bin` → the tensors in it: the zip form of `PyTorch` 1.6 and later, and the
//! legacy form before it.
//!
//! Other readers copy each tensor out of the file; this one says where it is, so that the weights
//! are used in place. Source: `torch/serialization.py`.

mod legacy;
mod machine;
mod pickle;
mod state_dict;
mod zip;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::ensure;

use super::stored_tensor::{PlacedTensor, StoredTensors, stored};
use crate::checkpoint::directory::{map, model_error, open as open_file, refuse_disguised};
use crate::error::{Classify, Kind, Result};

/// Maps `path`, which messages call `file_name`, and reads its pickle; nothing in it is run, and no
/// page of the tensors is touched.
///
/// # Errors
/// The file cannot be opened, is damaged or cut short, or holds anything but tensors and
/// dictionaries.
pub(super) fn open(path: &Path, file_name: &str) -> Result<StoredTensors> {
    let (file, size_bytes) = open_file(path)?;
    let mapping = map(&file, size_bytes)?;
    let read = reader(&mapping)?;
    let tensors = read(&mapping).kind(Kind::Model)?;
    check_copies(&tensors, mapping.len()).kind(Kind::Model)?;
    Ok(stored(file_name, mapping, tensors))
}

type Reader = fn(&[u8]) -> anyhow::Result<BTreeMap<String, PlacedTensor>>;

fn reader(file: &[u8]) -> Result<Reader> {
    if file.starts_with(b"PK\x03\x04") {
        return Ok(zip::read);
    }
    if file.starts_with(legacy::MAGIC) {
        return Ok(legacy::read);
    }
    if file.get(257..262) == Some(b"ustar") {
        return Err(model_error(
            "it is a tar archive, as the first releases of PyTorch wrote, which is not read",
        )
        .with_tip("load it in Python and save it as safetensors"));
    }
    refuse_disguised(&file[..file.len().min(64)])?;
    Err(model_error("it is not a PyTorch file"))
}

/// Refuses views of one storage that together would need more memory than the file has bytes.
fn check_copies(tensors: &BTreeMap<String, PlacedTensor>, file_bytes: usize) -> anyhow::Result<()> {
    let copied = tensors.values().filter(|tensor| !tensor.is_in_place());
    ensure!(
        copied.map(PlacedTensor::size_bytes).sum::<usize>() <= file_bytes,
        "its tensors overlap: expanded, they would be larger than the file"
    );
    Ok(())
}
