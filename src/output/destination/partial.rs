//! An unfinished output: `FILE.partial` has the records, `FILE.resume` how many of them are on
//! disk, and `FILE.assembled` exists only while a format assembles its file from them.
//!
//! A record counts only when its bytes are on disk, so neither a kill nor a power cut leaves a
//! record that is counted but missing.

use std::fs::{self, Permissions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::BUFFER_BYTES;
use super::fingerprint::{Fingerprint, FingerprintWriter};
use super::provenance::{self, CompletedRecords};
use super::resume_file::{self, ResumeFile, Settings, SyncPoint};
use super::side_file::{
    SideFile, open_no_follow, remove_if_exists, side_path, start_over_tip, sync_directory,
};
use crate::error::{Error, Kind};
use crate::record::RunCounts;

/// How often records are synced, which takes a disk some milliseconds.
pub(crate) const SYNC_INTERVAL: Duration = Duration::from_millis(200);

/// What happens to an unfinished output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PartialPolicy {
    Dropped,
    /// It stays, and an earlier run must not have left one.
    Kept,
    /// It stays, and an earlier run's is continued.
    Resumed,
}

/// What a run finds from an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OutputStatus {
    /// These records are written, perhaps none.
    Unfinished(RunCounts),
    /// A run with the same settings has completed it; `None` if the file system has no attributes
    /// to record it.
    Complete(Option<CompletedRecords>),
}

/// Continues where an interrupted run stopped, and takes its name when complete.
pub(super) struct PartialOutput {
    pub(super) target: PathBuf,
    /// Permissions of the file that it replaces.
    pub(super) permissions: Option<Permissions>,
    policy: PartialPolicy,
    /// `FILE.partial`, and the fingerprint of all its bytes.
    pub(super) data: FingerprintWriter<BufWriter<SideFile>>,
    pub(super) resume_file: ResumeFile,
    synced: Option<Instant>,
    /// Whether `target` is the new file.
    pub(super) is_finished: bool,
}

impl PartialOutput {
    pub(super) fn open(
        target: PathBuf,
        permissions: Option<Permissions>,
        policy: PartialPolicy,
    ) -> Result<Self> {
        // As readable for others as the output will be, but always writable for this user.
        let mode = permissions.as_ref().map_or(0o666, Permissions::mode) & 0o777 | 0o600;
        let resume = resume_file::lock(&side_path(&target, ".resume"), mode)?;
        let data = SideFile::open(&side_path(&target, ".partial"), mode)
            .inspect_err(|_| resume.remove_if_new())?;
        let resume_file =
            read_resume_file(resume, &data, &target).inspect_err(|_| data.remove_if_new())?;
        let mut this = Self {
            target,
            permissions,
            policy,
            data: FingerprintWriter::new(BufWriter::with_capacity(BUFFER_BYTES, data)),
            resume_file,
            synced: None,
            is_finished: false,
        };
        if this.synced_records() > 0 && policy != PartialPolicy::Resumed {
            return Err(this.unfinished());
        }
        if policy == PartialPolicy::Dropped {
            this.start_over(&Settings::new())?;
        }
        Ok(this)
    }

    /// Whether the records stay if the run is interrupted.
    pub(super) fn survives(&self) -> bool {
        self.policy != PartialPolicy::Dropped
    }

    pub(super) fn data_file(&self) -> &SideFile {
        self.data.to.get_ref()
    }

    fn synced_records(&self) -> u64 {
        self.resume_file.sync_point.counts.records
    }

    fn unfinished(&self) -> anyhow::Error {
        let (path, records) = (self.data_file().path.display(), self.synced_records());
        let cause = format!("`{path}` holds {records} records of an interrupted run");
        let tip = format!("continue with --resume, or remove `{path}` to start over");
        Error::message(Kind::Output, cause).with_tip(tip).into()
    }

    /// Prepares for writing records with `settings`, or removes the side files of a complete
    /// output.
    pub(super) fn begin(&mut self, settings: &Settings) -> Result<OutputStatus> {
        if self.policy == PartialPolicy::Resumed
            && let Some(complete) = self.find_complete(settings)?
        {
            self.is_finished = true;
            self.remove_side_files()?;
            return Ok(complete);
        }
        if self.synced_records() > 0 {
            self.resume()?;
        } else {
            self.start_over(settings)?;
        }
        sync_directory(&self.target)?;
        let counts = self.resume_file.sync_point.counts.clone();
        Ok(OutputStatus::Unfinished(counts))
    }

    /// The complete output, if there is one. What was interrupted must have had `settings`.
    fn find_complete(&self, settings: &Settings) -> Result<Option<OutputStatus>> {
        let finished = self.resume_file.finished.as_ref();
        if self.synced_records() > 0 || finished.is_some() {
            self.check_settings(settings)?;
        }
        if self.resume_file.file.is_new && self.target.try_exists()? {
            let records = provenance::read(&self.target, settings)?;
            return Ok(Some(OutputStatus::Complete(records)));
        }
        Ok(match finished {
            Some(file) if self.target_is(file.data)? => {
                Some(OutputStatus::Complete(Some((&file.counts).into())))
            }
            _ => None,
        })
    }

    /// Empties the data first: it must be empty while `FILE.resume` has no line 1.
    fn start_over(&mut self, settings: &Settings) -> Result<()> {
        self.data.to.get_mut().truncate(0)?;
        self.resume_file.start_over(settings)
    }

    fn resume(&mut self) -> Result<()> {
        let synced = self.resume_file.sync_point.data;
        let data = self.data.to.get_mut();
        if data.fingerprint(synced.size_bytes)? != synced {
            let path = data.path.display();
            let cause = format!("`{path}` is damaged: its bytes are not what was written");
            let tip = start_over_tip(&data.path);
            return Err(Error::message(Kind::Output, cause).with_tip(tip).into());
        }
        data.truncate(synced.size_bytes)?;
        self.resume_file.resume()?;
        self.data.written = synced;
        Ok(())
    }

    /// Whether the output is already the file that an earlier run had finished.
    fn target_is(&self, finished: Fingerprint) -> io::Result<bool> {
        let mut file = match open_no_follow().open(&self.target) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            file => file?,
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.len() != finished.size_bytes {
            return Ok(false);
        }
        Ok(Fingerprint::of(&mut file)? == finished)
    }

    fn check_settings(&self, settings: &Settings) -> Result<()> {
        let before = self.resume_file.settings.as_ref();
        let difference = before.and_then(|before| provenance::difference(settings, before));
        let Some(difference) = difference else {
            return Ok(());
        };
        let path = self.data_file().path.display();
        let cause = format!("{difference} in the interrupted run");
        let tip = format!("use the same again, or remove `{path}` to start over");
        Err(Error::message(Kind::Usage, cause).with_tip(tip).into())
    }

    /// Syncs the records of `counts` if the last sync was a while ago, or if `now` is set.
    pub(super) fn sync(&mut self, counts: &RunCounts, now: bool) -> Result<()> {
        let early = self.synced.is_some_and(|at| at.elapsed() < SYNC_INTERVAL);
        let is_new = counts.records != self.synced_records();
        if !self.survives() || !is_new || (early && !now) {
            return Ok(());
        }
        self.data.flush()?;
        self.data_file().file.sync_data()?;
        self.check_size()?;
        self.resume_file.add_sync_point(SyncPoint {
            data: self.data.written,
            counts: counts.clone(),
        })?;
        self.synced = Some(Instant::now());
        Ok(())
    }

    /// Fails if another process has truncated or extended the data.
    pub(super) fn check_size(&self) -> Result<()> {
        let (data, written) = (self.data_file(), self.data.written.size_bytes);
        let found = data.size_bytes()?;
        let path = data.path.display();
        anyhow::ensure!(
            found == written,
            "`{path}` was changed while this run wrote it: it has {found} bytes, not {written}"
        );
        Ok(())
    }

    /// Where the records are if the run is interrupted.
    pub(super) fn surviving_path(&self) -> Option<&Path> {
        self.survives().then_some(&*self.data_file().path)
    }

    /// `FILE.resume` goes last: it alone shows that the data is ours.
    pub(super) fn remove_side_files(&self) -> Result<()> {
        self.data_file().remove()?;
        self.resume_file.file.remove()
    }
}

impl Drop for PartialOutput {
    fn drop(&mut self) {
        if self.synced_records() == 0 || self.is_finished {
            // What cannot be removed is empty, or the next run with the same output removes it.
            let _ = self.remove_side_files();
        }
    }
}

/// Reads `resume`, and refuses side files of `target` that this program did not write.
fn read_resume_file(resume: SideFile, data: &SideFile, target: &Path) -> Result<ResumeFile> {
    let data_bytes = data.size_bytes()?;
    let resume = ResumeFile::read(resume, data_bytes)?;
    let checked = if resume.settings.is_none() && data_bytes > 0 {
        Err(in_the_way(&data.path))
    } else {
        remove_assembled(&side_path(target, ".assembled"), resume.file.is_new)
    };
    checked.inspect_err(|_| resume.file.remove_if_new())?;
    Ok(resume)
}

/// Removes what a killed run has assembled: it is assembled again from the data.
fn remove_assembled(path: &Path, is_new: bool) -> Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        metadata => metadata.with_context(|| format!("could not look for `{}`", path.display()))?,
    };
    if is_new || !metadata.is_file() {
        return Err(in_the_way(path));
    }
    remove_if_exists(path).with_context(|| format!("could not remove `{}`", path.display()))
}

pub(super) fn in_the_way(path: &Path) -> anyhow::Error {
    let cause = format!("`{}` is in the way", path.display());
    let tip = "move it away: an unfinished output needs its name";
    Error::message(Kind::Output, cause).with_tip(tip).into()
}
