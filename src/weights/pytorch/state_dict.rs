//! A pickled state dict → where each of its tensors is in the file.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, anyhow, bail, ensure};
use safetensors::Dtype as StoredType;

use super::super::stored_tensor::{PlacedTensor, item_bytes};
use super::pickle::{Global, Pickle, PickleValue, ValueId, damaged};
use crate::checkpoint::json::shortened;

/// More dimensions than any weight has.
const MAX_DIMENSIONS: usize = 8;

/// Consecutive values of one type in the file; tensors are views of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Storage {
    pub(super) dtype: StoredType,
    /// The first byte in the file.
    pub(super) start: usize,
    pub(super) elements: usize,
}

/// The storages of a file by their keys.
pub(super) type Storages = HashMap<String, Storage>;

/// How a pickle refers to a storage.
pub(super) struct StorageName<'a> {
    pub(super) key: &'a str,
    pub(super) dtype: StoredType,
    pub(super) elements: usize,
    /// In the legacy form, the first element and the number of elements of a part of the storage.
    view: Option<(usize, usize)>,
}

/// The names of all storages that `pickle` mentions.
pub(super) fn storage_names<'a>(pickle: &'a Pickle<'a>) -> Result<Vec<StorageName<'a>>> {
    let name = |value: &PickleValue| match *value {
        PickleValue::External(name) => Some(name),
        _ => None,
    };
    let names = pickle.values.iter().filter_map(name);
    names.map(|name| storage_name(pickle, name)).collect()
}

/// `("storage", torch.FloatStorage, key, location, elements, view)`
fn storage_name<'a>(pickle: &'a Pickle<'a>, name: ValueId) -> Result<StorageName<'a>> {
    let parts = pickle.tuple(name)?;
    let &[kind, dtype, key, _, elements, ..] = parts else {
        return Err(damaged());
    };
    match (pickle.get(kind), pickle.get(dtype), pickle.get(key)) {
        (
            PickleValue::Text("storage"),
            &PickleValue::Global(Global::Storage(dtype)),
            PickleValue::Text(key),
        ) => Ok(StorageName {
            key,
            dtype,
            elements: pickle.size(elements)?,
            view: parts.get(5).and_then(|&view| storage_view(pickle, view)),
        }),
        _ => Err(damaged()),
    }
}

/// `(key, first element, elements)`
fn storage_view(pickle: &Pickle, view: ValueId) -> Option<(usize, usize)> {
    let &[_, offset, elements] = pickle.tuple(view).ok()? else {
        return None;
    };
    Some((pickle.size(offset).ok()?, pickle.size(elements).ok()?))
}

/// The tensors of the state dict in `pickle`, by name.
///
/// # Errors
/// It is not a dictionary of tensors, or a tensor does not fit into its storage.
pub(super) fn tensors(
    pickle: &Pickle,
    storages: &Storages,
) -> Result<BTreeMap<String, PlacedTensor>> {
    let PickleValue::Dictionary(entries) = pickle.get(pickle.root) else {
        bail!("it holds no dictionary of tensors");
    };
    let entry = |&(name, value): &(ValueId, ValueId)| {
        let PickleValue::Text(name) = *pickle.get(name) else {
            bail!("it holds a dictionary whose keys are not names");
        };
        let tensor = tensor(pickle, value, storages)
            .with_context(|| format!("could not read tensor `{}`", shortened(name)))?;
        Ok((name.to_owned(), tensor))
    };
    entries.iter().map(entry).collect()
}

fn tensor(pickle: &Pickle, value: ValueId, storages: &Storages) -> Result<PlacedTensor> {
    match *pickle.get(value) {
        PickleValue::Call(Global::RebuildTensor, arguments) => rebuilt(pickle, arguments, storages),
        PickleValue::Call(Global::RebuildParameter, arguments) => {
            let &[inner, ..] = pickle.tuple(arguments)? else {
                return Err(damaged());
            };
            // Not recursive: a damaged parameter could hold itself.
            match *pickle.get(inner) {
                PickleValue::Call(Global::RebuildTensor, arguments) => {
                    rebuilt(pickle, arguments, storages)
                }
                _ => Err(damaged()),
            }
        }
        _ => bail!("it is not a tensor"),
    }
}

/// `(storage, offset, size, stride, …)`
fn rebuilt(pickle: &Pickle, arguments: ValueId, storages: &Storages) -> Result<PlacedTensor> {
    let &[storage, offset, shape, strides, ..] = pickle.tuple(arguments)? else {
        return Err(damaged());
    };
    let &PickleValue::External(name) = pickle.get(storage) else {
        return Err(damaged());
    };
    let storage = find_storage(&storage_name(pickle, name)?, storages)?;
    let (shape, strides) = (pickle.sizes(shape)?, pickle.sizes(strides)?);
    placed(storage, pickle.size(offset)?, shape, strides)
}

fn find_storage(name: &StorageName, storages: &Storages) -> Result<Storage> {
    let whole = *storages
        .get(name.key)
        .with_context(|| format!("its storage `{}` is missing", shortened(name.key)))?;
    ensure!(whole.dtype == name.dtype, "its pickle is damaged");
    let Some((first, elements)) = name.view else {
        return Ok(whole);
    };
    let end = first.checked_add(elements);
    ensure!(
        end.is_some_and(|end| end <= whole.elements),
        "its pickle is damaged"
    );
    Ok(Storage {
        start: whole.start + first * item_bytes(whole.dtype),
        elements,
        ..whole
    })
}

/// The tensor that starts at element `offset` of `storage`.
///
/// # Errors
/// It does not fit into the storage, or repeats an element.
fn placed(
    storage: Storage,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
) -> Result<PlacedTensor> {
    let elements = shape.iter().copied().try_fold(1, usize::checked_mul);
    let elements = elements.ok_or_else(damaged)?;
    let last = shape
        .iter()
        .zip(&strides)
        .try_fold(offset, |end, (&size, &stride)| {
            end.checked_add(size.saturating_sub(1).checked_mul(stride)?)
        });
    let fits = elements == 0 || last.is_some_and(|last| last < storage.elements);
    let repeats = elements > storage.elements;
    ensure!(
        shape.len() == strides.len() && shape.len() <= MAX_DIMENSIONS && fits && !repeats,
        "it does not fit into its storage"
    );
    let offset = if elements == 0 { 0 } else { offset };
    let in_place = elements == 0 || is_contiguous(&shape, &strides);
    Ok(PlacedTensor {
        dtype: storage.dtype,
        start: storage.start + offset * item_bytes(storage.dtype),
        shape,
        strides: (!in_place).then_some(strides),
    })
}

/// Whether these are the strides of a row-major tensor without gaps.
fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1;
    let mut dimensions = shape.iter().zip(strides).rev();
    dimensions.all(|(&size, &stride)| {
        let fits = size == 1 || stride == expected;
        expected *= size;
        fits
    })
}

/// The `size` bytes of `file` that start at `start`.
pub(super) fn bytes(file: &[u8], start: usize, size: usize) -> Result<&[u8]> {
    let end = start.checked_add(size);
    end.and_then(|end| file.get(start..end))
        .ok_or_else(cut_short)
}

pub(super) fn cut_short() -> anyhow::Error {
    anyhow!("it is damaged or cut short")
}
