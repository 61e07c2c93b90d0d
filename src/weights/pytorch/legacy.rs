//! The legacy form, before `PyTorch` 1.6: a magic number, a version, facts about the machine, the
//! state dict and the list of storage keys, each a pickle; then the storages in the order of the
//! list.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Result, bail};
use safetensors::Dtype as StoredType;

use super::super::stored_tensor::{PlacedTensor, item_bytes};
use super::pickle::{Pickle, PickleValue};
use super::state_dict::{Storage, Storages, bytes, cut_short, storage_names, tensors};

/// The pickle of the magic number, at the start of the file.
pub(super) const MAGIC: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";

/// # Errors
/// The file is damaged, or holds anything but tensors and dictionaries.
pub(super) fn read(file: &[u8]) -> Result<BTreeMap<String, PlacedTensor>> {
    let mut position = MAGIC.len();
    let mut next = || {
        let pickle = Pickle::read(file.get(position..).ok_or_else(cut_short)?)?;
        position += pickle.size_bytes;
        Ok::<_, anyhow::Error>(pickle)
    };
    let (_version, _machine) = (next()?, next()?);
    let (state_dict, keys) = (next()?, next()?);
    let dtypes = storage_names(&state_dict)?;
    let dtypes = dtypes.iter().map(|name| (name.key, name.dtype)).collect();
    tensors(&state_dict, &storages(file, position, &keys, &dtypes)?)
}

/// The storages from byte `position` on: the number of elements of each, then the elements.
fn storages(
    file: &[u8],
    mut position: usize,
    keys: &Pickle,
    dtypes: &HashMap<&str, StoredType>,
) -> Result<Storages> {
    let PickleValue::List(keys_in_order) = keys.get(keys.root) else {
        bail!("it holds no list of storages");
    };
    let mut storages = HashMap::new();
    for &key in keys_in_order {
        let PickleValue::Text(key) = *keys.get(key) else {
            bail!("it holds a storage without a name");
        };
        let &dtype = dtypes.get(key).ok_or_else(cut_short)?;
        let count = bytes(file, position, 8)?.try_into();
        let elements = usize::try_from(i64::from_le_bytes(count?)).ok();
        let elements = elements.ok_or_else(cut_short)?;
        let size_bytes = elements.checked_mul(item_bytes(dtype));
        let size_bytes = size_bytes.ok_or_else(cut_short)?;
        let start = position + 8;
        bytes(file, start, size_bytes)?;
        position = start + size_bytes;
        let storage = Storage {
            dtype,
            start,
            elements,
        };
        storages.insert(key.to_owned(), storage);
    }
    Ok(storages)
}
