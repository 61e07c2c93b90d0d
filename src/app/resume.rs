//! What decides the bytes of an output besides the texts, so that a resumed run can be refused that
//! would write other records than the interrupted one.

use sha2::{Digest, Sha256};

use crate::app::settings::Setting;
use crate::cli::Arguments;
use crate::error::Result;
use crate::hex::hex;
use crate::hub::{self, Snapshot};
use crate::notes;
use crate::ops::device::{self, Device};
use crate::output::{Destination, Settings};
use crate::record::RunCounts;

/// Opens `destination` for records. Returns what an interrupted run has already written of them, or
/// `None` if that run had completed the output.
///
/// # Errors
/// [`crate::error::Kind::Usage`] if that run had other settings, [`crate::error::Kind::Output`] if
/// its files are damaged or cannot be used, [`crate::error::Kind::Model`] if those of the model
/// cannot be read.
pub(crate) fn begin(
    arguments: &Arguments,
    settings: &[Setting],
    snapshot: &Snapshot,
    device: &Device,
    destination: &mut Destination,
) -> Result<Option<RunCounts>> {
    if destination.partial_path().is_none() {
        return Ok(Some(RunCounts::default()));
    }
    let done = destination.begin(&compared(settings, snapshot, device)?)?;
    if arguments.resume && done.as_ref().is_some_and(|done| done.records == 0) {
        notes::note("nothing to resume: starting from the beginning");
    }
    Ok(done)
}

/// Every setting that the records depend on, by the name that the user knows.
fn compared(settings: &[Setting], snapshot: &Snapshot, device: &Device) -> Result<Settings> {
    let mut compared = vec![
        (
            "the program".to_owned(),
            env!("CARGO_PKG_VERSION").to_owned(),
        ),
        ("the model".to_owned(), model(snapshot)?),
        ("the device".to_owned(), device::full_name(device)),
    ];
    let typed = settings.iter();
    compared.extend(typed.map(|setting| (setting.flag(), setting.value().to_owned())));
    Ok(compared)
}

/// The commit, or a hash over the hashes of all files.
fn model(snapshot: &Snapshot) -> Result<String> {
    if let Some(commit) = &snapshot.commit {
        return Ok(format!("commit {commit}"));
    }
    let mut hash = Sha256::new();
    for file in hub::verify(snapshot)? {
        hash.update(format!("{} {}\n", file.file, file.found));
    }
    Ok(format!("sha256 {}", hex(&hash.finalize())))
}
