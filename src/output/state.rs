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
use crate::tally::Tally;

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
    pub(super) tally: Tally,
}

/// An open state, locked by this process.
pub(super) struct State {
    path: PathBuf,
    file: File,
    /// Whether there was none.
    pub(super) is_new: bool,
    /// Line 1, `None` before anything was written.
    pub(super) settings: Option<Settings>,
    /// The other lines, each with the bytes of the state up to its end.
    marks: Vec<(Mark, u64)>,
}

impl State {
    /// Opens the state at `path`, or creates it.
    ///
    /// # Errors
    /// [`Kind::Output`] where it cannot be written, is another program's or another process's.
    pub(super) fn open(path: &Path) -> Result<Self> {
        Self::read(path)
            .with_context(|| format!("could not use `{}`", path.display()))
            .kind(Kind::Output)
    }

    fn read(path: &Path) -> anyhow::Result<Self> {
        let is_new = !path.exists();
        let file = lock(path)?;
        let mut lines = BufReader::new(&file);
        let mut line = Vec::new();
        let mut size_bytes = lines.read_until(b'\n', &mut line)?;
        let settings = first_line(&line)?;
        let mut marks = Vec::new();
        loop {
            line.clear();
            size_bytes += lines.read_until(b'\n', &mut line)?;
            match serde_json::from_slice(&line) {
                Ok(mark) if line.ends_with(b"\n") => marks.push((mark, size_bytes as u64)),
                _ => break,
            }
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            is_new,
            settings,
            marks,
        })
    }

    /// The last mark of an output that has `size_bytes`.
    pub(super) fn last_mark(&self, size_bytes: u64) -> Mark {
        let mut marks = self.marks.iter().rev().map(|(mark, _)| mark);
        let last = marks.find(|mark| mark.size_bytes <= size_bytes);
        last.cloned().unwrap_or_default()
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

    /// Goes on behind `mark`.
    pub(super) fn go_on_behind(&mut self, mark: &Mark) -> io::Result<()> {
        let line = self.marks.iter().find(|(other, _)| other == mark);
        self.file.set_len(line.map_or(0, |&(_, end)| end))?;
        self.file.seek(SeekFrom::End(0))?;
        Ok(())
    }

    /// Adds a line.
    pub(super) fn append(&mut self, mark: &Mark) -> io::Result<()> {
        let mut line = serde_json::to_vec(mark)?;
        line.push(b'\n');
        self.file.write_all(&line)
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
