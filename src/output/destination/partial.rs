//! An output file in the making: `FILE.partial` with the records, beside it `FILE.resume` with how
//! far they go, and `FILE.assembled` for the moment in which a format makes its file of them.
//!
//! Records count as kept when their bytes have reached the disk, so neither a kill nor a power cut
//! leaves a record that is counted and not there.

use std::fs::{self, Permissions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::BUFFER_BYTES;
use super::fingerprint::{Checked, Fingerprint};
use super::origin::{Finished, difference, finished};
use super::side_file::{SideFile, beside, reading_as_it_is, remove_if_there, sync_directory};
use super::state::{self, Mark, Settings, State};
use crate::error::{Classify, Error, Kind, Result};
use crate::record::RunCounts;

/// Records are kept this often, as syncing takes a disk some milliseconds.
pub(crate) const KEEP_EVERY: Duration = Duration::from_millis(200);

/// What becomes of a file that is not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PartialPolicy {
    /// It is of no use and is removed.
    Dropped,
    /// It stays, and there must be none from an earlier run.
    Kept,
    /// It stays, and one from an earlier run is continued.
    Resumed,
}

/// What a run finds when it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Begun {
    /// An output that already has these records, or none.
    Open(RunCounts),
    /// A complete output. Its run had the same settings; `None` if its file system keeps no
    /// attributes, so that it cannot tell.
    Complete(Option<Finished>),
}

/// A file that is written where an interrupted run stopped, and takes its name when all is there.
pub(super) struct Partial {
    pub(super) target: PathBuf,
    /// Those of the file that it replaces.
    pub(super) permissions: Option<Permissions>,
    policy: PartialPolicy,
    /// The records, with the fingerprint of all bytes that were written.
    pub(super) data: Checked<BufWriter<SideFile>>,
    pub(super) state: State,
    /// When records were last kept.
    kept: Option<Instant>,
    /// Whether `target` is the new file.
    pub(super) is_finished: bool,
}

impl Partial {
    /// Opens the partial output for `target`.
    pub(super) fn open(
        target: PathBuf,
        permissions: Option<Permissions>,
        policy: PartialPolicy,
    ) -> Result<Self> {
        // As open to others as the output will be, but this user can always go on writing.
        let mode = permissions.as_ref().map_or(0o666, Permissions::mode) & 0o777 | 0o600;
        let resume = state::lock(&beside(&target, ".resume"), mode).kind(Kind::Output)?;
        let data = SideFile::open(&beside(&target, ".partial"), mode)
            .inspect_err(|_| resume.remove_if_new())
            .kind(Kind::Output)?;
        let state = read_state(resume, &data, &target).inspect_err(|_| data.remove_if_new())?;
        let mut this = Self {
            target,
            permissions,
            policy,
            data: Checked::new(BufWriter::with_capacity(BUFFER_BYTES, data)),
            state,
            kept: None,
            is_finished: false,
        };
        if this.kept_records() > 0 && policy != PartialPolicy::Resumed {
            return Err(this.unfinished());
        }
        if policy == PartialPolicy::Dropped {
            this.begin_anew(&Settings::new()).kind(Kind::Output)?;
        }
        Ok(this)
    }

    /// Whether the file stays if it is not finished.
    pub(super) fn is_kept(&self) -> bool {
        self.policy != PartialPolicy::Dropped
    }

    pub(super) fn side_file(&self) -> &SideFile {
        self.data.to.get_ref()
    }

    fn kept_records(&self) -> u64 {
        self.state.mark.counts.records
    }

    fn unfinished(&self) -> Error {
        let (path, records) = (self.side_file().path.display(), self.kept_records());
        let cause = format!("`{path}` holds {records} records of an interrupted run");
        let tip = format!("go on with --resume, or remove `{path}` to start anew");
        Error::message(Kind::Output, cause).with_tip(tip)
    }

    /// Whether there is an output and nothing that was interrupted.
    fn is_complete(&self) -> io::Result<bool> {
        Ok(self.state.file.is_new && self.target.try_exists()?)
    }

    /// Prepares for writing records of `settings`, if the output is not complete.
    pub(super) fn begin(&mut self, settings: &Settings) -> Result<Begun> {
        let resumes = self.policy == PartialPolicy::Resumed;
        let is_begun = self.kept_records() > 0 || self.state.finished.is_some();
        if resumes && is_begun {
            self.check_settings(settings)?;
        }
        if resumes && self.is_complete().kind(Kind::Output)? {
            let finished = finished(&self.target, settings)?;
            return self.leave(finished);
        }
        if resumes && self.is_target().kind(Kind::Output)? {
            let counts = self.state.finished.as_ref().map(|file| &file.counts);
            return self.leave(counts.map(Finished::from));
        }
        if self.kept_records() > 0 {
            self.go_on()?;
        } else {
            self.begin_anew(settings).kind(Kind::Output)?;
        }
        sync_directory(&self.target).kind(Kind::Output)?;
        Ok(Begun::Open(self.state.mark.counts.clone()))
    }

    /// Leaves a complete output as it is, without side files.
    fn leave(&mut self, finished: Option<Finished>) -> Result<Begun> {
        self.is_finished = true;
        self.remove_side_files().kind(Kind::Output)?;
        Ok(Begun::Complete(finished))
    }

    /// The data come first: without a first line in the state there may be none.
    fn begin_anew(&mut self, settings: &Settings) -> anyhow::Result<()> {
        self.data.to.get_mut().cut(0)?;
        self.state.begin(settings)
    }

    /// Goes on behind the last whole record.
    fn go_on(&mut self) -> Result<()> {
        let kept = self.state.mark.data;
        let data = self.data.to.get_mut();
        let found = data.fingerprint(kept.size_bytes).kind(Kind::Output)?;
        if found != kept {
            let path = data.path.display();
            let cause = format!("`{path}` is damaged: its bytes are not those that were written");
            return Err(Error::message(Kind::Output, cause).with_tip(start_anew(&self.target)));
        }
        data.cut(kept.size_bytes)
            .and_then(|()| self.state.go_on())
            .kind(Kind::Output)?;
        self.data.written = kept;
        Ok(())
    }

    /// Whether the output is already the file that an earlier run had completed.
    fn is_target(&self) -> io::Result<bool> {
        let Some(&Mark { data: finished, .. }) = self.state.finished.as_ref() else {
            return Ok(false);
        };
        let mut file = match reading_as_it_is().open(&self.target) {
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
        let before = self.state.settings.as_ref();
        let Some(difference) = before.and_then(|before| difference(settings, before)) else {
            return Ok(());
        };
        let path = self.side_file().path.display();
        let cause = format!("{difference} in the interrupted run");
        let tip = format!("use the same again, or remove `{path}` to start anew");
        Err(Error::message(Kind::Usage, cause).with_tip(tip))
    }

    /// Keeps the records of `counts`, if the last time was a while ago or it must be `now`.
    pub(super) fn keep(&mut self, counts: &RunCounts, now: bool) -> anyhow::Result<()> {
        let early = self.kept.is_some_and(|kept| kept.elapsed() < KEEP_EVERY);
        let is_new = counts.records != self.kept_records();
        if !self.is_kept() || !is_new || (early && !now) {
            return Ok(());
        }
        self.data.flush()?;
        let data = self.side_file();
        data.file.sync_data()?;
        self.check_size()?;
        self.state.keep(Mark {
            data: self.data.written,
            counts: counts.clone(),
        })?;
        self.kept = Some(Instant::now());
        Ok(())
    }

    /// Notices another process that has cut or extended the data.
    pub(super) fn check_size(&self) -> anyhow::Result<()> {
        let (data, written) = (self.side_file(), self.data.written.size_bytes);
        let found = data.size_bytes()?;
        let path = data.path.display();
        anyhow::ensure!(
            found == written,
            "`{path}` was changed while this run wrote it: it has {found} bytes, not {written}"
        );
        Ok(())
    }

    /// Where the records are if the run is interrupted.
    pub(super) fn kept_path(&self) -> Option<&Path> {
        self.is_kept().then_some(&*self.side_file().path)
    }

    /// The state goes last: without it nobody could tell that the data are ours.
    pub(super) fn remove_side_files(&self) -> anyhow::Result<()> {
        self.side_file().remove()?;
        self.state.file.remove()
    }
}

impl Drop for Partial {
    /// Leaves nothing behind but what is kept.
    fn drop(&mut self) {
        if self.kept_records() == 0 || self.is_finished {
            // What cannot be removed is empty, or another run with the same output removes it.
            let _ = self.remove_side_files();
        }
    }
}

/// Reads the state in `resume`; what this program has not written beside `target` is refused.
fn read_state(resume: SideFile, data: &SideFile, target: &Path) -> Result<State> {
    let data_bytes = data.size_bytes().kind(Kind::Output)?;
    let state = State::read(resume, data_bytes, &start_anew(target))?;
    let checked = if state.settings.is_none() && data_bytes > 0 {
        Err(in_the_way(&data.path))
    } else {
        remove_assembled(&beside(target, ".assembled"), state.file.is_new)
    };
    match checked {
        Ok(()) => Ok(state),
        Err(error) => {
            state.file.remove_if_new();
            Err(error)
        }
    }
}

/// Removes what a killed run has assembled: it is made again from the data.
fn remove_assembled(path: &Path, is_new: bool) -> Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        metadata => metadata
            .with_context(|| format!("could not look for `{}`", path.display()))
            .kind(Kind::Output)?,
    };
    if is_new || !metadata.is_file() {
        return Err(in_the_way(path));
    }
    remove_if_there(path)
        .with_context(|| format!("could not remove `{}`", path.display()))
        .kind(Kind::Output)
}

pub(super) fn in_the_way(path: &Path) -> Error {
    Error::message(Kind::Output, format!("`{}` is in the way", path.display()))
        .with_tip("move it away: its name is that of an unfinished output")
}

pub(super) fn start_anew(target: &Path) -> String {
    let [data, state] = [".partial", ".resume"].map(|ending| beside(target, ending));
    let (data, state) = (data.display(), state.display());
    format!("remove `{data}` and `{state}` to start anew")
}
