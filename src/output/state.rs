//! The file that tells how far a partial output has come: line 1 says what is written, each line
//! after it how much of that is whole.
//!
//! Owns its form and its lock. A line is believed only where it is whole and the partial output is
//! as long as it says.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::error::{Classify, Kind, Result};
use crate::record::RunCounts;

/// Everything that decides the bytes of an output but the texts: name and value, in order.
pub type Settings = Vec<(String, String)>;

/// What line 1 begins with, so that no foreign file is taken for a state.
const FIRST_NAME: &str = "bert-embed";

/// How much of the partial output is whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// Its first bytes, which hold whole records only.
    pub(super) size_bytes: u64,
    /// What these records are.
    pub(super) tally: RunCounts,
}

/// An open state, locked by this process.
pub(super) struct State {
    path: PathBuf,
    file: File,
    /// Whether there was none.
    pub(super) is_new: bool,
    /// Line 1, `None` before anything was written.
    pub(super) settings: Option<Settings>,
    /// The last of the other lines that is believed, nothing where there is none.
    pub(super) mark: Mark,
    /// Bytes of the state up to its end.
    mark_end: u64,
}

impl State {
    /// Opens the state at `path` of the partial output at `data_path`, or creates it.
    ///
    /// # Errors
    /// [`Kind::Output`] where it cannot be written, is another program's or another process's.
    pub(super) fn open(path: &Path, data_path: &Path) -> Result<Self> {
        Self::read(path, data_path)
            .with_context(|| format!("could not use `{}`", path.display()))
            .kind(Kind::Output)
    }

    fn read(path: &Path, data_path: &Path) -> anyhow::Result<Self> {
        let is_new = !path.exists();
        let file = lock(path)?;
        // Nobody else writes the data any more.
        let data_bytes = fs::metadata(data_path).map_or(0, |data| data.len());
        let mut lines = BufReader::new(&file);
        let mut line = Vec::new();
        let first_end = lines.read_until(b'\n', &mut line)? as u64;
        let settings = first_line(&line)?;
        let (mark, mark_end) = last_mark(lines, first_end, data_bytes)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            is_new,
            settings,
            mark,
            mark_end,
        })
    }

    /// Starts anew with `settings`.
    pub(super) fn begin(&mut self, settings: &Settings) -> io::Result<()> {
        let mut line = serde_json::to_vec(&Named(FIRST_NAME, settings))?;
        line.push(b'\n');
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&line)?;
        self.file.sync_all()
    }

    /// Goes on behind the mark.
    pub(super) fn go_on(&mut self) -> io::Result<()> {
        self.file.set_len(self.mark_end)?;
        self.file.seek(SeekFrom::End(0))?;
        Ok(())
    }

    /// Adds a line.
    pub(super) fn append(&mut self, mark: Mark) -> io::Result<()> {
        let mut line = serde_json::to_vec(&mark)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.mark = mark;
        Ok(())
    }

    /// Takes the file away if this process has created it.
    pub(super) fn remove_new(&self) {
        if self.is_new {
            self.remove();
        }
    }

    /// Takes the file away.
    pub(super) fn remove(&self) {
        // What cannot be removed tells of no partial output any more, and so does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

#[derive(Serialize, Deserialize)]
struct Named<N, S>(N, S);

/// The last mark in `lines` of an output that has `data_bytes`, and where its line ends; the lines
/// begin at `start`.
fn last_mark(mut lines: impl BufRead, start: u64, data_bytes: u64) -> io::Result<(Mark, u64)> {
    let mut last = (Mark::default(), start);
    let (mut line, mut end) = (Vec::new(), start);
    loop {
        line.clear();
        end += lines.read_until(b'\n', &mut line)? as u64;
        match serde_json::from_slice::<Mark>(&line) {
            Ok(mark) if line.ends_with(b"\n") && mark.size_bytes <= data_bytes => {
                last = (mark, end);
            }
            Ok(_) if line.ends_with(b"\n") => {}
            _ => return Ok(last),
        }
    }
}

/// The settings of a first line; `None` for one that is torn or empty.
fn first_line(line: &[u8]) -> anyhow::Result<Option<Settings>> {
    let begins = format!("[\"{FIRST_NAME}\",");
    let same = line
        .iter()
        .zip(begins.as_bytes())
        .all(|(one, other)| one == other);
    anyhow::ensure!(same, "it was not written by this program");
    let named: Option<Named<String, Settings>> = serde_json::from_slice(line).ok();
    Ok(named.map(|Named(_, settings)| settings))
}

/// The file at `path`, which no other process has locked.
fn lock(path: &Path) -> anyhow::Result<File> {
    loop {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        match file.try_lock() {
            // A file system without locks has to do without them.
            Ok(()) | Err(TryLockError::Error(_)) => {}
            Err(TryLockError::WouldBlock) => anyhow::bail!("another process is writing it"),
        }
        // Between opening and locking its owner may have finished and removed it.
        let (ours, there) = (file.metadata()?, fs::metadata(path));
        if there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
            return Ok(file);
        }
    }
}
