//! `--resume`: refuses a run that would write different records than the interrupted one.

use sha2::{Digest, Sha256};

use crate::app::request::Request;
use crate::app::settings::compared;
use crate::cli::{Arguments, program};
use crate::error::{Result, counted};
use crate::hex::hex;
use crate::hub::{self, Snapshot};
use crate::input::Texts;
use crate::notes;
use crate::ops::device::{self, Device};
use crate::output::{CompletedRecords, Destination, OutputStatus};
use crate::pipeline::{self, Plan};
use crate::record::RunCounts;

/// Opens `destination` for records unless it is complete.
///
/// # Errors
/// [`crate::error::Kind::Usage`] if the interrupted run had other settings;
/// [`crate::error::Kind::Output`] if the run that completed the output had other settings, or if
/// files are damaged or unusable; [`crate::error::Kind::Model`] if the model is unreadable.
pub(crate) fn begin(
    arguments: &Arguments,
    request: &Request,
    snapshot: &Snapshot,
    device: &Device,
    destination: &mut Destination,
) -> Result<OutputStatus> {
    if destination.partial_path().is_none() {
        return Ok(OutputStatus::Unfinished(RunCounts::default()));
    }
    let mut settings = vec![
        ("the program".to_owned(), program()),
        ("the model".to_owned(), model(snapshot)?),
        ("the device".to_owned(), device::full_name(device)),
    ];
    settings.extend(compared(arguments, request)?);
    let begun = destination.begin(&settings)?;
    if arguments.resume && begun == OutputStatus::Unfinished(RunCounts::default()) {
        notes::note("nothing to resume: starting from the beginning");
    }
    Ok(begun)
}

/// Leaves the complete output unchanged if it has the records of `texts`.
///
/// # Errors
/// [`crate::error::Kind::Output`] if it has other records; or reading or tokenizing fails.
pub(crate) fn leave(
    finished: Option<CompletedRecords>,
    destination: &Destination,
    plan: Plan,
    texts: Texts,
) -> Result<()> {
    let name = destination.name();
    let Some(CompletedRecords {
        records,
        texts: hash,
    }) = finished
    else {
        notes::note(&format!(
            "{name} already exists and is left unchanged: its file system does not record which \
             run wrote it"
        ));
        return Ok(());
    };
    let counts = pipeline::count(plan, texts)?;
    if counts.records != records {
        let (records, texts) = (counted(records, "record"), counted(counts.records, "text"));
        let cause = format!("it has {records}, but this input has {texts}");
        return Err(destination.of_another_run(&cause));
    }
    if counts.texts != hash {
        let cause = "its texts are not the texts of this input";
        return Err(destination.of_another_run(cause));
    }
    notes::note(&format!("{name} is already complete: it is left unchanged"));
    Ok(())
}

/// The commit, or a hash of the hashes of all files.
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
