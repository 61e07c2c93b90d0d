//! A pickled state dict → where each of its tensors lies in the file.

use std::collections::{BTreeMap, HashMap};

use safetensors::Dtype;

use super::super::stored_tensor::{PlacedTensor, item_bytes};
use super::pickle::Pickle;
use super::pickle_value::{Global, PickleValue, ValueId, damaged};
use crate::checkpoint::json::shortened;
use crate::checkpoint::local_file::model_error;
use crate::error::Result;

/// More dimensions than any weight has.
const MAX_DIMENSIONS: usize = 8;

/// A run of numbers of one type in the file; tensors are views of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Storage {
    pub(super) dtype: Dtype,
    /// The first byte in the file.
    pub(super) start: usize,
    pub(super) elements: usize,
}

/// What lies outside the pickle, by key.
#[derive(Default)]
pub(super) struct Externals {
    pub(super) storages: HashMap<String, Storage>,
    /// Only the oldest files have their tensors outside.
    pub(super) tensors: HashMap<String, PlacedTensor>,
}

/// The name that a pickle gives to a storage.
pub(super) struct StorageName<'a> {
    pub(super) key: &'a str,
    pub(super) dtype: Dtype,
    pub(super) elements: usize,
    /// First element and number of elements of a part of the storage, in files before 1.6.
    view: Option<(usize, usize)>,
}

/// The names of all storages that `pickle` mentions.
pub(super) fn storage_names<'a>(pickle: &'a Pickle<'a>) -> Result<Vec<StorageName<'a>>> {
    let name = |value: &PickleValue| match *value {
        PickleValue::External(name) => Some(name),
        _ => None,
    };
    let names = pickle.values().filter_map(name);
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

/// The tensors of the state dict that `pickle` holds, by name.
///
/// # Errors
/// It is no dictionary of tensors, or a tensor does not lie inside its storage.
pub(super) fn tensors(
    pickle: &Pickle,
    externals: &Externals,
) -> Result<BTreeMap<String, PlacedTensor>> {
    let PickleValue::Dictionary(entries) = pickle.get(pickle.root) else {
        return Err(model_error("it holds no dictionary of tensors"));
    };
    let tensor = |&(name, value): &(ValueId, ValueId)| {
        let PickleValue::Text(name) = pickle.get(name) else {
            return Err(model_error("it holds a dictionary whose keys are no names"));
        };
        let tensor = tensor(pickle, value, externals).map_err(|error| {
            error.context(format!("could not read tensor `{}`", shortened(name)))
        })?;
        Ok(((*name).to_owned(), tensor))
    };
    entries.iter().map(tensor).collect()
}

fn tensor(pickle: &Pickle, value: ValueId, externals: &Externals) -> Result<PlacedTensor> {
    let (value, if_other) = match *pickle.get(value) {
        // A parameter of a parameter would not end.
        PickleValue::Call(Global::RebuildParameter, arguments) => {
            let first = pickle.tuple(arguments)?.first();
            (*first.ok_or_else(damaged)?, damaged())
        }
        _ => (value, model_error("it is not a tensor")),
    };
    match *pickle.get(value) {
        PickleValue::External(name) => {
            let tensor = externals.tensors.get(&pickle.key(name)?);
            tensor.cloned().ok_or_else(damaged)
        }
        PickleValue::Call(Global::RebuildTensor, arguments) => {
            rebuilt(pickle, arguments, externals)
        }
        _ => Err(if_other),
    }
}

/// `(storage, offset, size, stride, …)`
fn rebuilt(pickle: &Pickle, arguments: ValueId, externals: &Externals) -> Result<PlacedTensor> {
    let &[storage, offset, shape, strides, ..] = pickle.tuple(arguments)? else {
        return Err(damaged());
    };
    let &PickleValue::External(name) = pickle.get(storage) else {
        return Err(damaged());
    };
    let offset = pickle.size(offset)?;
    let storage = named_storage(pickle, name, externals)?;
    let (shape, strides) = (sizes(pickle, shape)?, sizes(pickle, strides)?);
    placed(storage, offset, shape, strides)
}

fn named_storage(pickle: &Pickle, name: ValueId, externals: &Externals) -> Result<Storage> {
    if !matches!(pickle.get(name), PickleValue::Tuple(_)) {
        let storage = externals.storages.get(&pickle.key(name)?);
        return storage.copied().ok_or_else(damaged);
    }
    let name = storage_name(pickle, name)?;
    let whole = *externals
        .storages
        .get(name.key)
        .ok_or_else(|| model_error(format!("its numbers `{}` are missing", shortened(name.key))))?;
    if whole.dtype != name.dtype {
        return Err(damaged());
    }
    match name.view {
        Some((first, elements)) => part(whole, first, elements),
        None => Ok(whole),
    }
}

/// `elements` of `storage` from `first` on.
///
/// # Errors
/// The storage is not that large.
pub(super) fn part(storage: Storage, first: usize, elements: usize) -> Result<Storage> {
    let end = first.checked_add(elements);
    if end.is_none_or(|end| end > storage.elements) {
        return Err(damaged());
    }
    Ok(Storage {
        dtype: storage.dtype,
        start: storage.start + first * item_bytes(storage.dtype),
        elements,
    })
}

/// The tensor that begins at element `offset` of `storage`.
///
/// # Errors
/// It does not lie inside the storage, or shows an element more than once.
pub(super) fn placed(
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
    if shape.len() != strides.len() || shape.len() > MAX_DIMENSIONS || !fits || repeats {
        return Err(model_error("it does not lie inside its numbers"));
    }
    let offset = if elements == 0 { 0 } else { offset };
    let in_place = elements == 0 || is_contiguous(&shape, &strides);
    Ok(PlacedTensor {
        dtype: storage.dtype,
        start: storage.start + offset * item_bytes(storage.dtype),
        shape,
        strides: (!in_place).then_some(strides),
    })
}

/// Whether elements lie one after the other, the last index running fastest.
fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1;
    let mut dimensions = shape.iter().zip(strides).rev();
    dimensions.all(|(&size, &stride)| {
        let fits = size == 1 || stride == expected;
        expected *= size;
        fits
    })
}

fn sizes(pickle: &Pickle, list: ValueId) -> Result<Vec<usize>> {
    let (PickleValue::Tuple(list) | PickleValue::List(list)) = pickle.get(list) else {
        return Err(damaged());
    };
    list.iter().map(|&item| pickle.size(item)).collect()
}
