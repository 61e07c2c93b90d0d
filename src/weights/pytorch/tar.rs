//! The tar form of `PyTorch` 0.1: the members `storages`, `tensors` and `pickle`.

use std::collections::{BTreeMap, HashMap};

use super::super::stored_tensor::PlacedTensor;
use super::bytes::{bytes, cut_short, number};
use super::legacy::storage;
use super::pickle::Pickle;
use super::pickle_value::{Global, PickleValue};
use super::state_dict::{Externals, Storage, part, placed, tensors};
use crate::checkpoint::local_file::model_error;
use crate::error::Result;

/// The unit of a tar archive: a header takes one, and members are padded to whole units.
const BLOCK_BYTES: usize = 512;

/// The tensors of the archive `file`.
///
/// # Errors
/// It is damaged, or holds anything but tensors and dictionaries.
pub(super) fn read(file: &[u8]) -> Result<BTreeMap<String, PlacedTensor>> {
    let members = members(file)?;
    let member = |name: &str| {
        let missing = || model_error(format!("it is a tar archive without a member `{name}`"));
        members.get(name).copied().ok_or_else(missing)
    };
    let storages = storages(file, member("storages")?)?;
    let tensors_by_key = tensor_table(file, member("tensors")?, &storages)?;
    let (start, size) = member("pickle")?;
    let pickle = Pickle::read(bytes(file, start, size)?)?;
    let externals = Externals {
        storages,
        tensors: tensors_by_key,
    };
    tensors(&pickle, &externals)
}

/// First byte and size of each member; its name without `./`.
fn members(file: &[u8]) -> Result<HashMap<&str, (usize, usize)>> {
    let mut members = HashMap::new();
    let mut position = 0;
    while let Ok(header) = bytes(file, position, BLOCK_BYTES) {
        let field = |from: usize, size: usize| {
            let text = header[from..from + size].split(|&byte| byte == 0).next();
            text.and_then(|text| std::str::from_utf8(text).ok())
                .map(str::trim)
        };
        let name = field(0, 100).ok_or_else(cut_short)?;
        if name.is_empty() {
            break;
        }
        let size = field(124, 12).and_then(|size| usize::from_str_radix(size, 8).ok());
        let (start, size) = (position + BLOCK_BYTES, size.ok_or_else(cut_short)?);
        bytes(file, start, size)?;
        members.insert(name.trim_start_matches("./"), (start, size));
        position = start + size.next_multiple_of(BLOCK_BYTES);
    }
    Ok(members)
}

/// Reads pickles and numbers one after the other.
struct ArchiveReader<'a> {
    file: &'a [u8],
    position: usize,
    end: usize,
}

impl<'a> ArchiveReader<'a> {
    fn new(file: &'a [u8], (start, size): (usize, usize)) -> Self {
        Self {
            file,
            position: start,
            end: start + size,
        }
    }

    fn pickle(&mut self) -> Result<Pickle<'a>> {
        let rest = self.file.get(self.position..self.end);
        let pickle = Pickle::read(rest.ok_or_else(cut_short)?)?;
        self.position += pickle.size_bytes;
        Ok(pickle)
    }

    /// A pickle that is one number: how many items follow.
    fn count(&mut self) -> Result<usize> {
        let pickle = self.pickle()?;
        pickle.size(pickle.root)
    }

    fn number(&mut self) -> Result<usize> {
        let number = number(self.file, self.position)?;
        self.position += 8;
        Ok(number)
    }

    fn numbers(&mut self, count: usize) -> Result<Vec<usize>> {
        (0..count).map(|_| self.number()).collect()
    }
}

/// `(key, location, torch.FloatStorage)` and the storage itself, many times; then parts of them.
fn storages(file: &[u8], member: (usize, usize)) -> Result<HashMap<String, Storage>> {
    let mut reader = ArchiveReader::new(file, member);
    let mut storages = HashMap::new();
    for _ in 0..reader.count()? {
        let pickle = reader.pickle()?;
        let &[name, _, kind] = pickle.tuple(pickle.root)? else {
            return Err(cut_short());
        };
        let PickleValue::Global(Global::Storage(dtype)) = *pickle.get(kind) else {
            return Err(cut_short());
        };
        let (storage, end) = storage(file, reader.position, dtype)?;
        reader.position = end;
        storages.insert(pickle.key(name)?, storage);
    }
    let views = reader.pickle()?;
    let PickleValue::List(list) = views.get(views.root) else {
        return Err(cut_short());
    };
    for &view in list {
        let &[target, root, offset, elements] = views.tuple(view)? else {
            return Err(cut_short());
        };
        let root = *storages.get(&views.key(root)?).ok_or_else(cut_short)?;
        let view = part(root, views.size(offset)?, views.size(elements)?)?;
        storages.insert(views.key(target)?, view);
    }
    Ok(storages)
}

/// `(key, storage's key, torch.FloatTensor)` and the tensor's shape, many times.
fn tensor_table(
    file: &[u8],
    member: (usize, usize),
    storages: &HashMap<String, Storage>,
) -> Result<HashMap<String, PlacedTensor>> {
    let mut reader = ArchiveReader::new(file, member);
    let mut tensors = HashMap::new();
    for _ in 0..reader.count()? {
        let pickle = reader.pickle()?;
        let &[name, storage, _] = pickle.tuple(pickle.root)? else {
            return Err(cut_short());
        };
        let storage = storages.get(&pickle.key(storage)?).ok_or_else(cut_short)?;
        // The number of dimensions has 4 bytes; the other 4 have no meaning.
        let dimensions = bytes(file, reader.position, 8)?[0].into();
        reader.position += 8;
        let (shape, strides) = (reader.numbers(dimensions)?, reader.numbers(dimensions)?);
        let offset = reader.number()?;
        let tensor = placed(*storage, offset, shape, strides)?;
        tensors.insert(pickle.key(name)?, tensor);
    }
    Ok(tensors)
}
