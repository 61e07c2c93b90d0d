//! The zip form: `<name>/data.pkl` is the pickle, `<name>/data/<key>` are the storages, stored and
//! not compressed.

use std::collections::{BTreeMap, HashMap};
use std::io::Cursor;

use ::zip::{CompressionMethod, ZipArchive};

use super::super::stored_tensor::{PlacedTensor, item_bytes};
use super::bytes::{bytes, cut_short};
use super::pickle::Pickle;
use super::state_dict::{Externals, Storage, storage_names, tensors};
use crate::checkpoint::json::shortened;
use crate::checkpoint::local_file::model_error;
use crate::error::Result;

/// The place of a member in the file: first byte and size.
type ByteRange = (usize, usize);

/// The tensors of the archive `file`.
///
/// # Errors
/// It is damaged, or holds anything but tensors and dictionaries.
pub(super) fn read(file: &[u8]) -> Result<BTreeMap<String, PlacedTensor>> {
    let members = members(file)?;
    let is_pickle = |name: &&String| name.ends_with("/data.pkl") && name.matches('/').count() == 1;
    let name = members.keys().find(is_pickle).ok_or_else(|| {
        model_error("it is a zip archive without a `data.pkl`, no file of PyTorch")
    })?;
    let folder = name.trim_end_matches("data.pkl");
    let member = |name: &str| {
        let &(start, size) = members.get(&format!("{folder}{name}"))?;
        bytes(file, start, size).ok().map(|bytes| (start, bytes))
    };
    if member("byteorder").is_some_and(|(_, order)| order != b"little") {
        return Err(model_error("its numbers are not little-endian"));
    }
    let (_, data) = member("data.pkl").ok_or_else(cut_short)?;
    let pickle = Pickle::read(data)?;
    let mut externals = Externals::default();
    for name in storage_names(&pickle)? {
        // A missing storage is an error only if a tensor needs it.
        if let Some((start, bytes)) = member(&format!("data/{}", name.key)) {
            let storage = Storage {
                dtype: name.dtype,
                start,
                elements: name.elements,
            };
            if bytes.len() / item_bytes(name.dtype) < name.elements {
                return Err(cut_short());
            }
            externals.storages.insert(name.key.to_owned(), storage);
        }
    }
    tensors(&pickle, &externals)
}

/// Where each member lies.
fn members(file: &[u8]) -> Result<HashMap<String, ByteRange>> {
    let damaged = |cause| model_error(format!("its zip archive is damaged or cut short: {cause}"));
    let mut archive = ZipArchive::new(Cursor::new(file)).map_err(damaged)?;
    let mut members = HashMap::new();
    for index in 0..archive.len() {
        let member = archive.by_index_raw(index).map_err(damaged)?;
        let name = member.name().map_err(damaged)?.into_owned();
        if member.compression() != CompressionMethod::Stored || member.encrypted() {
            return Err(model_error(format!(
                "its member `{}` is compressed or encrypted",
                shortened(&name)
            )));
        }
        let start = member.data_start().ok_or_else(cut_short)?;
        let (start, size) = (usize::try_from(start), usize::try_from(member.size()));
        if let (Ok(start), Ok(size)) = (start, size) {
            members.insert(name, (start, size));
        }
    }
    Ok(members)
}
