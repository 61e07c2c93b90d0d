//! One `pytorch_model.bin` → where its tensors lie: the zip form of `PyTorch` 1.6 and later, the
//! plain form before it, and the tar form of `PyTorch` 0.1.
//!
//! This is a reader of our own because the existing ones copy each tensor out of the file, and this
//! program uses weights in place. Source: `torch/serialization.py`.

mod bytes;
mod legacy;
mod machine;
mod pickle;
mod pickle_value;
mod state_dict;
mod tar;
mod zip;

use std::collections::BTreeMap;
use std::path::Path;

use super::stored_tensor::{PlacedTensor, StoredTensors, stored};
use crate::checkpoint::local_file::{map, model_error, open as open_file, undisguised};
use crate::error::Result;

/// Maps `path`, which messages call `file_name`, and reads its pickle; nothing in it is run, and no
/// page of the tensors is touched.
///
/// # Errors
/// The file cannot be opened, is damaged or cut short, or holds anything but tensors and
/// dictionaries.
pub(super) fn open(path: &Path, file_name: &str) -> Result<StoredTensors> {
    let (file, size_bytes) = open_file(path)?;
    let mapping = map(&file, size_bytes)?;
    let tensors = read(&mapping)?;
    check_copies(&tensors, mapping.len())?;
    Ok(stored(file_name, mapping, tensors))
}

fn read(file: &[u8]) -> Result<BTreeMap<String, PlacedTensor>> {
    if file.starts_with(b"PK\x03\x04") {
        zip::read(file)
    } else if file.starts_with(legacy::MAGIC) {
        legacy::read(file)
    } else if file.get(257..262) == Some(b"ustar") {
        tar::read(file)
    } else {
        undisguised(&file[..file.len().min(64)])?;
        Err(model_error("it is no file of PyTorch"))
    }
}

/// Refuses views of one storage that would have to be copied again and again.
fn check_copies(tensors: &BTreeMap<String, PlacedTensor>, file_bytes: usize) -> Result<()> {
    let copied = tensors.values().filter(|tensor| !tensor.is_in_place());
    if copied.map(PlacedTensor::size_bytes).sum::<usize>() <= file_bytes {
        return Ok(());
    }
    Err(model_error(
        "its tensors show the same numbers again and again",
    ))
}
