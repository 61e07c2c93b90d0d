//! An output that outlives its interruption: `FILE.partial` with the records, beside it
//! `FILE.resume` with how far they go.
//!
//! Owns both files and the renaming at the end. Records count as kept when their bytes have reached
//! the disk, so neither a kill nor a power cut leaves a record that is counted and not there.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::Assembly;
use super::file::BUFFER_BYTES;
use super::state::{Mark, Settings, State};
use crate::error::{Classify, Error, Kind, Result};
use crate::record::RunCounts;

/// Records are kept this often, as syncing takes a disk some milliseconds.
pub const KEEP_EVERY: Duration = Duration::from_millis(200);

/// A file that is written where an interrupted run stopped, and takes its place when all is there.
pub(super) struct Partial {
    target: PathBuf,
    data_path: PathBuf,
    /// Where the file is made whose data are a log.
    assembled_path: PathBuf,
    data: BufWriter<File>,
    /// Its mark is what is kept.
    state: State,
    /// When that was last done.
    kept: Option<Instant>,
    is_finished: bool,
}

impl Partial {
    /// The partial output for `target`; without `resume` there must be none.
    pub(super) fn open(
        target: PathBuf,
        permissions: Option<Permissions>,
        resume: bool,
    ) -> Result<Self> {
        let (data_path, state_path) = (beside(&target, ".partial"), beside(&target, ".resume"));
        let assembled_path = beside(&target, ".assembled");
        let is_used = |path: &&PathBuf| fs::metadata(path).is_ok_and(|file| file.len() > 0);
        if let Some(path) = [&data_path, &assembled_path].into_iter().find(is_used)
            && !state_path.exists()
        {
            let cause = format!("`{}` is in the way", path.display());
            return Err(Error::message(Kind::Output, cause)
                .with_tip("move it away: its name is that of an unfinished output"));
        }
        let state = State::open(&state_path, &data_path)?;
        let data = open_data(&data_path, permissions).inspect_err(|_| state.remove_new())?;
        let this = Self {
            target,
            data_path,
            assembled_path,
            data: BufWriter::with_capacity(BUFFER_BYTES, data),
            state,
            kept: None,
            is_finished: false,
        };
        if resume || this.kept_records() == 0 {
            return Ok(this);
        }
        Err(this.unfinished())
    }

    fn kept_records(&self) -> u64 {
        self.state.mark.tally.records
    }

    fn unfinished(&self) -> Error {
        let (data_path, records) = (self.data_path.display(), self.kept_records());
        let cause = format!("`{data_path}` holds {records} records of an interrupted run");
        let tip = format!("go on with --resume, or remove `{data_path}` to start anew");
        Error::message(Kind::Output, cause).with_tip(tip)
    }

    /// Whether there is an output and nothing that was interrupted.
    pub(super) fn is_complete(&self) -> bool {
        self.state.is_new && self.target.exists()
    }

    /// Prepares for writing records of `settings`; what is kept of an interrupted run.
    ///
    /// # Errors
    /// [`Kind::Usage`] where that had other settings, [`Kind::Output`] where the files fail.
    pub(super) fn begin(&mut self, settings: &Settings) -> Result<RunCounts> {
        let resumes = self.kept_records() > 0;
        if resumes && let Some(difference) = self.difference(settings) {
            return Err(difference);
        }
        let prepared = if resumes {
            self.state.go_on()
        } else {
            self.state.begin(settings)
        };
        prepared.and_then(|()| self.cut()).kind(Kind::Output)?;
        Ok(self.state.mark.tally.clone())
    }

    /// Takes away what is written behind the last whole record.
    fn cut(&mut self) -> io::Result<()> {
        let data = self.data.get_mut();
        data.set_len(self.state.mark.size_bytes)?;
        data.seek(SeekFrom::End(0)).map(|_| ())
    }

    fn difference(&self, settings: &Settings) -> Option<Error> {
        let before = self.state.settings.as_ref()?;
        let value = |of: &Settings, name: &str| {
            let found = of.iter().find(|(other, _)| other == name);
            found.map_or("unknown", |(_, value)| value).to_owned()
        };
        let names = settings.iter().chain(before).map(|(name, _)| name);
        names
            .map(|name| (name, value(settings, name), value(before, name)))
            .find(|(_, now, then)| now != then)
            .map(|(name, now, then)| {
                let cause = format!("{name} is {now}, but was {then} in the interrupted run");
                Error::message(Kind::Usage, cause).with_tip(format!(
                    "use the same again, or remove `{}` to start anew",
                    self.data_path.display()
                ))
            })
    }

    /// Keeps the records of `tally`, if the last time was a while ago or it must be `now`.
    pub(super) fn keep(&mut self, tally: &RunCounts, now: bool) -> io::Result<()> {
        let early = self.kept.is_some_and(|kept| kept.elapsed() < KEEP_EVERY);
        if tally.records == self.kept_records() || (early && !now) {
            return Ok(());
        }
        self.data.flush()?;
        let file = self.data.get_ref();
        file.sync_data()?;
        let mark = Mark {
            size_bytes: file.metadata()?.len(),
            tally: tally.clone(),
        };
        self.state.append(mark)?;
        self.kept = Some(Instant::now());
        Ok(())
    }

    /// Gives the complete file its name; with an `assembly`, the file that it makes of the data.
    pub(super) fn finish(mut self, assembly: Option<&dyn Assembly>) -> Result<()> {
        self.data.flush().kind(Kind::Output)?;
        match assembly {
            None => self.data.get_ref().sync_all().kind(Kind::Output)?,
            Some(assembly) => self.assemble(assembly)?,
        }
        let complete = if assembly.is_some() {
            &self.assembled_path
        } else {
            &self.data_path
        };
        fs::rename(complete, &self.target).kind(Kind::Output)?;
        self.is_finished = true;
        Ok(())
    }

    /// Makes the file that `assembly` makes of the data, beside them.
    fn assemble(&mut self, assembly: &dyn Assembly) -> Result<()> {
        let path = &self.assembled_path;
        let assembled = File::create(path).and_then(|file| {
            file.set_permissions(self.data.get_ref().metadata()?.permissions())?;
            Ok(BufWriter::with_capacity(BUFFER_BYTES, file))
        });
        let log = self.data.get_ref().try_clone().kind(Kind::Output)?;
        let mut log = BufReader::with_capacity(BUFFER_BYTES, log);
        let written = assembled.kind(Kind::Output).and_then(|mut to| {
            assembly.assemble(&mut log, &mut to)?;
            to.flush()
                .and_then(|()| to.get_ref().sync_all())
                .kind(Kind::Output)
        });
        written.inspect_err(|_| {
            // The data are kept; what is left of the file is made again from them.
            let _ = fs::remove_file(path);
        })
    }

    /// Where the records are.
    pub(super) fn path(&self) -> &Path {
        &self.data_path
    }
}

impl Write for Partial {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.data.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.data.flush()
    }
}

impl Drop for Partial {
    /// Leaves nothing behind but what is kept.
    fn drop(&mut self) {
        if self.kept_records() == 0 || self.is_finished {
            // What cannot be removed is empty, or a log that another run would make the same file of.
            let _ = fs::remove_file(&self.data_path);
            self.state.remove();
        }
    }
}

fn beside(target: &Path, ending: &str) -> PathBuf {
    let mut path = OsString::from(target);
    path.push(ending);
    path.into()
}

/// The records' file; it is as open to others as the output will be.
fn open_data(path: &Path, permissions: Option<Permissions>) -> Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .and_then(|file| {
            permissions.map_or(Ok(()), |permissions| file.set_permissions(permissions))?;
            Ok(file)
        });
    file.with_context(|| format!("could not open `{}`", path.display()))
        .kind(Kind::Output)
}
