//! A checkpoint's weight files: `model.safetensors`, or shards and their index.
//!
//! Owns the choice between the two, which is transformers' own, and the checks of
//! `model.safetensors.index.json`. Leaves what is in each file to `safetensors_file.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use safetensors::tensor::TensorInfo;
use serde::Deserialize;

use super::json::{UniqueKeys, shortened};
use super::local_file::{holdings, names, read, refusal};
use super::safetensors_file::SafetensorsFile;
use crate::error::{Error, Result};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Most bytes of an index: one of BERT large has 40 KB.
const MAX_INDEX_BYTES: u64 = 16 * 1024 * 1024;

/// Endings of weights that are not safetensors; the first four are pickles, which run code.
const OTHER_WEIGHTS: [&str; 7] = [".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx"];

/// Where one tensor lies.
pub(super) struct Place {
    pub(super) file_name: Arc<str>,
    pub(super) file: Arc<SafetensorsFile>,
    pub(super) info: TensorInfo,
}

/// The tensors of a whole checkpoint by the names in its files.
pub(super) type Places = BTreeMap<String, Place>;

/// Opens the weight files of `directory`.
///
/// # Errors
/// There are none, one of them is missing or damaged, or the index does not fit them.
pub(super) fn open(directory: &Path) -> Result<Places> {
    // A dangling link counts as there: transformers would go on to the index, we name the link.
    if directory.join(SINGLE).symlink_metadata().is_ok() {
        let (file_name, file) = open_file(directory, SINGLE)?;
        let places = file.tensors.iter().map(|(name, info)| {
            let place = Place {
                file_name: Arc::clone(&file_name),
                file: Arc::clone(&file),
                info: info.clone(),
            };
            (name.clone(), place)
        });
        return Ok(places.collect());
    }
    if directory.join(INDEX).symlink_metadata().is_ok() {
        return open_shards(directory);
    }
    Err(no_weights(directory))
}

fn open_file(directory: &Path, file_name: &str) -> Result<(Arc<str>, Arc<SafetensorsFile>)> {
    let path = directory.join(file_name);
    let file = SafetensorsFile::open(&path)
        .map_err(|error| error.context(format!("cannot use `{}`", path.display())))?;
    Ok((Arc::from(file_name), Arc::new(file)))
}

/// `model.safetensors.index.json`; other keys (`metadata`) are of no use here.
#[derive(Deserialize)]
struct Index {
    /// The name of each tensor and of the file that holds it.
    weight_map: UniqueKeys<String>,
}

fn open_shards(directory: &Path) -> Result<Places> {
    let path = directory.join(INDEX);
    let in_index = |error: Error| error.context(format!("cannot use `{}`", path.display()));
    let weight_map = read_index(&path).map_err(in_index)?;
    let file_names: BTreeSet<&str> = weight_map.values().map(String::as_str).collect();
    let files: BTreeMap<&str, _> = file_names
        .into_iter()
        .map(|file_name| Ok((file_name, open_file(directory, file_name)?)))
        .collect::<Result<_>>()?;
    let places = weight_map.iter().map(|(name, shard)| {
        let (file_name, file) = &files[shard.as_str()];
        let info = file.tensors.get(name).ok_or_else(|| {
            refusal(format!(
                "it has tensor `{name}` in `{shard}`, which does not hold it"
            ))
        })?;
        let place = Place {
            file_name: Arc::clone(file_name),
            file: Arc::clone(file),
            info: info.clone(),
        };
        Ok((name.clone(), place))
    });
    places.collect::<Result<_>>().map_err(in_index)
}

fn read_index(path: &Path) -> Result<BTreeMap<String, String>> {
    let content = read(path, MAX_INDEX_BYTES)?;
    let index: Index = serde_json::from_slice(&content)
        .map_err(|cause| refusal(format!("it is no index of shards: {cause}")))?;
    let UniqueKeys(weight_map) = index.weight_map;
    weight_map.values().try_for_each(|name| check_shard(name))?;
    Ok(weight_map)
}

/// Refuses a shard that is not a plain file name: an index must not reach out of its directory.
fn check_shard(file_name: &str) -> Result<()> {
    let outside = file_name.contains(['/', '\\', '\0']) || file_name.contains("..");
    if !outside && file_name.ends_with(".safetensors") {
        return Ok(());
    }
    Err(refusal(format!(
        "the file name `{}` is not allowed, only names of `.safetensors` files beside it are",
        shortened(file_name)
    )))
}

/// The error of a directory without weights that this program reads.
fn no_weights(directory: &Path) -> Error {
    let is_other = |name: &String| OTHER_WEIGHTS.iter().any(|ending| name.ends_with(ending));
    let cause = match names(directory).into_iter().find(is_other) {
        Some(name) => refusal(format!(
            "there is only `{name}`, and weights in formats other than safetensors are not read \
             (pickles run code)"
        ))
        .with_tip(
            "python -c \"from transformers import AutoModel as M; \
             M.from_pretrained('DIR').save_pretrained('DIR')\"",
        ),
        None => refusal(holdings(directory)),
    };
    cause.context(format!(
        "there is no `{SINGLE}` in `{}`",
        directory.display()
    ))
}
