//! The zip form: `<name>/data.pkl` is the pickle, `<name>/data/<key>` are the storages, without
//! compression.

use std::collections::{BTreeMap, HashMap};
use std::io::Cursor;

use ::zip::{CompressionMethod, ZipArchive};
use anyhow::{Context, Result, anyhow, ensure};

use super::super::stored_tensor::{PlacedTensor, item_bytes};
use super::pickle::Pickle;
use super::state_dict::{Storage, bytes, cut_short, storage_names, tensors};
use crate::checkpoint::json::shortened;

/// The first byte and the size of a member.
type ByteRange = (usize, usize);

/// # Errors
/// The file is damaged, or holds anything but tensors and dictionaries.
pub(super) fn read(file: &[u8]) -> Result<BTreeMap<String, PlacedTensor>> {
    let members = members(file)?;
    let is_pickle = |name: &&String| name.ends_with("/data.pkl") && name.matches('/').count() == 1;
    let name = members.keys().find(is_pickle);
    let name =
        name.context("it is a zip archive without a `data.pkl`, so it is not a PyTorch file")?;
    let folder = name.trim_end_matches("data.pkl");
    let member = |name: &str| {
        let &(start, size) = members.get(&format!("{folder}{name}"))?;
        bytes(file, start, size).ok().map(|bytes| (start, bytes))
    };
    ensure!(
        member("byteorder").is_none_or(|(_, order)| order == b"little"),
        "its values are not little-endian"
    );
    let (_, data) = member("data.pkl").ok_or_else(cut_short)?;
    let pickle = Pickle::read(data)?;
    let mut storages = HashMap::new();
    for name in storage_names(&pickle)? {
        // A missing storage is an error only if a tensor needs it.
        if let Some((start, bytes)) = member(&format!("data/{}", name.key)) {
            let storage = Storage {
                dtype: name.dtype,
                start,
                elements: name.elements,
            };
            let stored_elements = bytes.len() / item_bytes(name.dtype);
            ensure!(
                stored_elements >= name.elements,
                "it is damaged or cut short"
            );
            storages.insert(name.key.to_owned(), storage);
        }
    }
    tensors(&pickle, &storages)
}

fn members(file: &[u8]) -> Result<HashMap<String, ByteRange>> {
    let damaged = |cause| anyhow!("its zip archive is damaged or cut short: {cause}");
    let mut archive = ZipArchive::new(Cursor::new(file)).map_err(damaged)?;
    let mut members = HashMap::new();
    for index in 0..archive.len() {
        let member = archive.by_index_raw(index).map_err(damaged)?;
        let name = member.name().map_err(damaged)?.into_owned();
        ensure!(
            member.compression() == CompressionMethod::Stored && !member.encrypted(),
            "its member `{}` is compressed or encrypted",
            shortened(&name)
        );
        let start = member.data_start().ok_or_else(cut_short)?;
        let (start, size) = (usize::try_from(start), usize::try_from(member.size()));
        if let (Ok(start), Ok(size)) = (start, size) {
            members.insert(name, (start, size));
        }
    }
    Ok(members)
}
