//! The files that hold a model's weights: one, or the shards that an index names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, ensure};
use serde::Deserialize;

use super::directory::{
    check_directory, contents, could_not_use, has, is_plain_name, missing, names, read,
};
use super::json::{JsonObject, shortened, unique_keys};
use crate::error::{Classify, Error, Kind, Result};

/// The size limit of an index: BERT large's has 40 KB, one of 1,000 shards about 10 MB.
const MAX_INDEX_BYTES: u64 = 16 << 20;

/// Endings of weight files that are not read.
const OTHER_WEIGHTS: [&str; 9] = [
    ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx", ".gguf", ".ot",
];

/// What repositories name weights that are not read, next to or instead of the others.
#[cfg(feature = "hub")]
pub(crate) const OTHER_FILES: [&str; 7] = [
    "model.fp16.safetensors",
    "pytorch_model.fp16.bin",
    "onnx/model.onnx",
    "model.onnx",
    "tf_model.h5",
    "flax_model.msgpack",
    "rust_model.ot",
];

/// Prefixes of files that training leaves behind; they hold no weights.
const TRAINING_LEFTOVERS: [&str; 4] = ["training_args", "optimizer", "scheduler", "rng_state"];

/// The formats of weight files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WeightFormat {
    /// A header and the tensors.
    Safetensors,
    /// What `torch.save` writes: a pickle and the tensors.
    Pytorch,
}

impl WeightFormat {
    /// In the order in which transformers looks for them.
    pub(crate) const ALL: [Self; 2] = [Self::Safetensors, Self::Pytorch];

    /// The file that holds all tensors.
    pub(crate) fn whole(self) -> &'static str {
        match self {
            Self::Safetensors => "model.safetensors",
            Self::Pytorch => "pytorch_model.bin",
        }
    }

    /// The file that names the shards, used if there is no whole file.
    pub(crate) fn index(self) -> &'static str {
        match self {
            Self::Safetensors => "model.safetensors.index.json",
            Self::Pytorch => "pytorch_model.bin.index.json",
        }
    }

    pub(crate) fn ending(self) -> &'static str {
        match self {
            Self::Safetensors => ".safetensors",
            Self::Pytorch => ".bin",
        }
    }
}

pub(crate) enum WeightFiles {
    Whole,
    /// The file that holds each tensor, as an index says.
    Sharded(BTreeMap<String, String>),
}

impl WeightFiles {
    /// The weights in `directory`, chosen in the order of transformers. Whether the shards exist is
    /// not checked.
    ///
    /// # Errors
    /// [`Kind::Model`]: there are none, or their index cannot be used.
    pub(crate) fn find(directory: &Path) -> Result<(WeightFormat, Self)> {
        check_directory(directory)?;
        for format in WeightFormat::ALL {
            if has(directory, format.whole()) {
                return Ok((format, Self::Whole));
            }
            if has(directory, format.index()) {
                let weight_map = read_index(directory, format)?;
                return Ok((format, Self::Sharded(weight_map)));
            }
        }
        Err(no_weights(directory))
    }

    /// The names of the files, including the index.
    pub(crate) fn names(self, format: WeightFormat) -> BTreeSet<String> {
        match self {
            Self::Whole => BTreeSet::from([format.whole().to_owned()]),
            Self::Sharded(weight_map) => {
                let index = std::iter::once(format.index().to_owned());
                weight_map.into_values().chain(index).collect()
            }
        }
    }
}

/// An index of shards; its other key, `metadata`, is not needed.
#[derive(Deserialize)]
struct ShardIndex {
    #[serde(deserialize_with = "unique_keys")]
    weight_map: JsonObject<String>,
}

/// The file that holds each tensor, as the index of `format` in `directory` says.
///
/// # Errors
/// The index cannot be used, or names a file that is not a shard in the same directory.
pub(crate) fn read_index(
    directory: &Path,
    format: WeightFormat,
) -> Result<BTreeMap<String, String>> {
    let file = format.index();
    let content = read(directory, file, MAX_INDEX_BYTES)?;
    parse_index(&content, format.ending())
        .with_context(|| could_not_use(&directory.join(file)))
        .kind(Kind::Model)
}

fn parse_index(content: &[u8], ending: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let index: ShardIndex =
        serde_json::from_slice(content).context("it is not an index of shards")?;
    for shard in index.weight_map.values() {
        check_shard(shard, ending)?;
    }
    Ok(index.weight_map.into_iter().collect())
}

/// An index must not reach out of its directory.
fn check_shard(name: &str, ending: &str) -> anyhow::Result<()> {
    ensure!(
        name.ends_with(ending)
            && !name.starts_with('-')
            && !name.contains("..")
            && is_plain_name(name),
        "the file name `{}` is not allowed, only names of `{ending}` files next to it are",
        shortened(name)
    );
    Ok(())
}

/// The error of a directory without weights that this program reads.
fn no_weights(directory: &Path) -> Error {
    let is_other = |name: &String| {
        let is_leftover = TRAINING_LEFTOVERS
            .iter()
            .any(|start| name.starts_with(start));
        !is_leftover && OTHER_WEIGHTS.iter().any(|ending| name.ends_with(ending))
    };
    let other = names(directory).into_iter().find(is_other);
    let cause = match &other {
        None => contents(directory),
        Some(name) => {
            format!(
                "there is only `{name}`, and only safetensors and PyTorch's state dicts are read"
            )
        }
    };
    let error = missing(
        directory,
        "`model.safetensors` and no `pytorch_model.bin`",
        &cause,
    );
    let is_state_dict = |name: &String| {
        let endings = [".bin", ".pt", ".pth"];
        endings.iter().any(|ending| name.ends_with(ending))
    };
    match other.filter(is_state_dict) {
        Some(name) => error.with_tip(format!(
            "if it is a state dict of this model: mv {name} pytorch_model.bin"
        )),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_stays_in_its_directory() {
        assert!(check_shard("model-00001-of-00002.safetensors", ".safetensors").is_ok());
        for name in [
            "../x.safetensors",
            "/x.safetensors",
            "a/x.safetensors",
            "x.bin",
            ".safetensors",
        ] {
            assert!(check_shard(name, ".safetensors").is_err(), "{name}");
        }
    }
}
