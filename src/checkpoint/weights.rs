//! Opens a checkpoint's weight files, one or several shards, and tells where each tensor lies.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;
use safetensors::Dtype;

use super::files::{WeightFiles, unusable};
use super::local_file::model_error;
use super::safetensors_file;
use crate::error::Result;

/// Where one tensor lies.
pub(super) struct StoredTensor {
    pub(super) file_name: Arc<str>,
    pub(super) mapping: Arc<Mmap>,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    /// The first byte in the mapping.
    pub(super) start: usize,
}

/// Tensors by their names in the file.
pub(super) type StoredTensors = BTreeMap<String, StoredTensor>;

/// Opens the weight files of `directory`.
///
/// # Errors
/// There are none, one of them is missing or damaged, or the index does not fit them.
pub(super) fn open(directory: &Path) -> Result<StoredTensors> {
    match WeightFiles::find(directory)? {
        WeightFiles::Whole(file) => open_file(directory, file),
        WeightFiles::Sharded { index, weight_map } => open_shards(directory, index, weight_map),
    }
}

fn open_file(directory: &Path, file: &str) -> Result<StoredTensors> {
    let path = directory.join(file);
    safetensors_file::open(&path, file).map_err(|error| unusable(&path, error))
}

fn open_shards(
    directory: &Path,
    index: &str,
    weight_map: BTreeMap<String, String>,
) -> Result<StoredTensors> {
    let shards: BTreeSet<String> = weight_map.values().cloned().collect();
    let mut shards: BTreeMap<String, StoredTensors> = shards
        .into_iter()
        .map(|shard| open_file(directory, &shard).map(|tensors| (shard, tensors)))
        .collect::<Result<_>>()?;
    let tensor = |(name, shard): (String, String)| {
        let stored = shards
            .get_mut(&shard)
            .and_then(|tensors| tensors.remove(&name));
        match stored {
            Some(stored) => Ok((name, stored)),
            None => Err(model_error(format!(
                "it has tensor `{name}` in `{shard}`, which does not hold it"
            ))),
        }
    };
    let stored: Result<_> = weight_map.into_iter().map(tensor).collect();
    stored.map_err(|error| unusable(&directory.join(index), error))
}
