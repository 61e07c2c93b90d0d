//! A model's weight files, one or several shards → each tensor in them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::stored_tensor::StoredTensors;
use super::{pytorch, safetensors_file};
use crate::checkpoint::directory::{could_not_use, model_error};
use crate::checkpoint::weight_files::{WeightFiles, WeightFormat};
use crate::error::Result;

/// Opens the weight files in `directory`; also returns their format.
///
/// # Errors
/// There are none, one is missing or damaged, or the index names a tensor that its shard lacks.
pub(crate) fn open(directory: &Path) -> Result<(WeightFormat, StoredTensors)> {
    let (format, files) = WeightFiles::find(directory)?;
    let stored = match files {
        WeightFiles::Whole => open_file(directory, format, format.whole()),
        WeightFiles::Sharded(weight_map) => open_shards(directory, format, weight_map),
    };
    Ok((format, stored?))
}

fn open_file(directory: &Path, format: WeightFormat, file: &str) -> Result<StoredTensors> {
    let path = directory.join(file);
    let stored = match format {
        WeightFormat::Safetensors => safetensors_file::open(&path, file),
        WeightFormat::Pytorch => pytorch::open(&path, file),
    };
    stored.map_err(|error| error.context(could_not_use(&path)))
}

fn open_shards(
    directory: &Path,
    format: WeightFormat,
    weight_map: BTreeMap<String, String>,
) -> Result<StoredTensors> {
    let shards: BTreeSet<String> = weight_map.values().cloned().collect();
    let mut shards: BTreeMap<String, StoredTensors> = shards
        .into_iter()
        .map(|shard| open_file(directory, format, &shard).map(|tensors| (shard, tensors)))
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
    stored.map_err(|error| error.context(could_not_use(&directory.join(format.index()))))
}
