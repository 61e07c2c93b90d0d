//! The plain form, before `PyTorch` 1.6: a magic number, a version, facts about the machine, the
//! state dict and the list of storage keys, each a pickle; then the storages in the order of the
//! list.

use std::collections::{BTreeMap, HashMap};

use safetensors::Dtype;

use super::super::stored_tensor::{PlacedTensor, item_bytes};
use super::bytes::{bytes, cut_short, number};
use super::pickle::Pickle;
use super::pickle_value::PickleValue;
use super::state_dict::{Externals, Storage, storage_names, tensors};
use crate::checkpoint::local_file::model_error;
use crate::error::Result;

/// The pickle of the magic number, which the file begins with.
pub(super) const MAGIC: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";

/// The tensors of `file`.
///
/// # Errors
/// It is damaged, or holds anything but tensors and dictionaries.
pub(super) fn read(file: &[u8]) -> Result<BTreeMap<String, PlacedTensor>> {
    let mut position = MAGIC.len();
    let mut next = || {
        let pickle = Pickle::read(file.get(position..).ok_or_else(cut_short)?)?;
        position += pickle.size_bytes;
        Ok(pickle)
    };
    let (_version, _machine) = (next()?, next()?);
    let (state_dict, keys) = (next()?, next()?);
    let dtypes = storage_names(&state_dict)?;
    let dtypes: HashMap<&str, Dtype> = dtypes.iter().map(|name| (name.key, name.dtype)).collect();
    let externals = Externals {
        storages: storages(file, position, &keys, &dtypes)?,
        ..Externals::default()
    };
    tensors(&state_dict, &externals)
}

/// The storages from byte `position` on: of each the number of its elements, then the elements.
fn storages(
    file: &[u8],
    mut position: usize,
    keys: &Pickle,
    dtypes: &HashMap<&str, Dtype>,
) -> Result<HashMap<String, Storage>> {
    let PickleValue::List(keys_in_order) = keys.get(keys.root) else {
        return Err(model_error("it holds no list of storages"));
    };
    let mut storages = HashMap::new();
    for &key in keys_in_order {
        let PickleValue::Text(key) = *keys.get(key) else {
            return Err(model_error("it holds a storage without a name"));
        };
        let &dtype = dtypes.get(key).ok_or_else(cut_short)?;
        let (storage, end) = storage(file, position, dtype)?;
        storages.insert(key.to_owned(), storage);
        position = end;
    }
    Ok(storages)
}

/// The storage at byte `position`, and where it ends.
pub(super) fn storage(file: &[u8], position: usize, dtype: Dtype) -> Result<(Storage, usize)> {
    let elements = number(file, position)?;
    let size = elements
        .checked_mul(item_bytes(dtype))
        .ok_or_else(cut_short)?;
    let start = position + 8;
    bytes(file, start, size)?;
    let storage = Storage {
        dtype,
        start,
        elements,
    };
    Ok((storage, start + size))
}
