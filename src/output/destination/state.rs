//! `FILE.resume`: what an unfinished output is and how much of it is whole.
//!
//! Line 1 has the settings, each later line how far the output has come. Every line ends with the
//! CRC-32 of the file up to there, so a damaged file is refused. Only the last line may be torn,
//! which an interrupted write leaves.

use std::fs::TryLockError;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::fingerprint::Fingerprint;
use super::side_file::{SideFile, could_not_use};
use crate::error::{Classify, Error, Kind, Result};
use crate::record::RunCounts;

/// Everything that decides the bytes of an output but the texts: name and value, in order.
pub(crate) type Settings = Vec<(String, String)>;

/// Line 1 begins with this name, so that no file of another program is taken for a state.
const FIRST_NAME: &str = "bert-embed";

/// No line of ours is longer: the system limits what a command line can hold.
const MAX_LINE_BYTES: u64 = 4 << 20;

/// Bytes of a line's checksum, with the space before and the newline after it.
const CHECKSUM_BYTES: usize = " 00000000\n".len();

/// A point that the output has reached, or its end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// The first bytes of the partial output, which hold whole records only, or the whole file.
    pub(super) data: Fingerprint,
    /// What these records are.
    pub(super) counts: RunCounts,
}

/// What a line after the first says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Entry {
    /// These records would outlive an interruption.
    Kept(Mark),
    /// All records are there, and the file with these bytes takes the output's name.
    Finished(Mark),
}

/// An open state, locked by this process.
pub(super) struct State {
    /// The file itself.
    pub(super) file: SideFile,
    /// Line 1, `None` if none is whole.
    pub(super) settings: Option<Settings>,
    /// How far the partial output has come: the last mark that it is long enough for.
    pub(super) mark: Mark,
    /// The file that an earlier run had completed, if it came so far.
    pub(super) finished: Option<Mark>,
    /// The lines up to the mark's.
    lines: Fingerprint,
}

/// Opens the state at `path`, which no other process may be using.
pub(super) fn lock(path: &Path, mode: u32) -> anyhow::Result<SideFile> {
    loop {
        let file = SideFile::open(path, mode)?;
        let locked = match file.file.try_lock() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => Err(anyhow::anyhow!("another process is writing it")),
            Err(TryLockError::Error(error)) => without_locks(error).map_err(anyhow::Error::from),
        };
        let locked = locked.and_then(|()| Ok(file.is_in_place()?));
        // Between opening and locking its owner may have finished and removed it.
        if locked.with_context(|| could_not_use(path))? {
            return Ok(file);
        }
    }
}

/// A file system without locks has to do without them.
fn without_locks(error: io::Error) -> io::Result<()> {
    let has_none = error.kind() == ErrorKind::Unsupported
        || [Some(libc::ENOSYS), Some(libc::ENOLCK)].contains(&error.raw_os_error());
    if has_none { Ok(()) } else { Err(error) }
}

impl State {
    /// Reads the state in `file` of a partial output that has `data_bytes`. If it is damaged, the
    /// error has the tip `start_anew`.
    pub(super) fn read(file: SideFile, data_bytes: u64, start_anew: &str) -> Result<Self> {
        let mut this = Self {
            file,
            settings: None,
            mark: Mark::default(),
            finished: None,
            lines: Fingerprint::default(),
        };
        match this.read_lines(data_bytes, start_anew) {
            Ok(()) => Ok(this),
            Err(error) => {
                this.file.remove_if_new();
                Err(error.context(could_not_use(&this.file.path)))
            }
        }
    }

    fn read_lines(&mut self, data_bytes: u64, start_anew: &str) -> Result<()> {
        let mut lines = Lines::new(BufReader::new(&self.file.file), start_anew);
        let Some(first) = lines.next()? else {
            return Ok(());
        };
        let (_, settings): (String, Settings) = lines.parse(&first)?;
        self.settings = Some(settings);
        self.lines = lines.before;
        while let Some(line) = lines.next()? {
            self.finished = None;
            match lines.parse(&line)? {
                Entry::Finished(file) => self.finished = Some(file),
                Entry::Kept(mark) if mark.data.size_bytes > data_bytes => {}
                Entry::Kept(mark) => {
                    self.mark = mark;
                    self.lines = lines.before;
                }
            }
        }
        Ok(())
    }

    /// Starts anew with `settings`.
    pub(super) fn begin(&mut self, settings: &Settings) -> anyhow::Result<()> {
        (self.settings, self.finished) = (None, None);
        self.mark = Mark::default();
        self.lines = Fingerprint::default();
        self.file.cut(0)?;
        self.append(&(FIRST_NAME, settings))?;
        self.settings = Some(settings.clone());
        self.file.file.sync_all()?;
        Ok(())
    }

    /// Goes on behind the mark.
    pub(super) fn go_on(&mut self) -> io::Result<()> {
        self.finished = None;
        self.file.cut(self.lines.size_bytes)
    }

    /// Adds a mark.
    pub(super) fn keep(&mut self, mark: Mark) -> anyhow::Result<()> {
        self.append(&Entry::Kept(mark.clone()))?;
        self.mark = mark;
        Ok(())
    }

    /// Says that the output is complete as the file with these bytes.
    pub(super) fn finish(&mut self, file: Mark) -> anyhow::Result<()> {
        self.append(&Entry::Finished(file))
    }

    /// Adds a line. If that fails and is tried again, the new line replaces the torn one.
    fn append(&mut self, content: &impl Serialize) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(content)?;
        let crc32 = self.lines.with(&line).crc32;
        line.extend_from_slice(format!(" {crc32:08x}\n").as_bytes());
        let end = self.lines.size_bytes;
        self.file.file.write_all_at(&line, end)?;
        self.lines.add(&line);
        Ok(())
    }
}

/// The whole lines of a state, checked.
struct Lines<'a, R> {
    from: R,
    /// The tip if they are damaged.
    start_anew: &'a str,
    number: usize,
    /// All lines that were read.
    before: Fingerprint,
}

impl<'a, R: BufRead> Lines<'a, R> {
    fn new(from: R, start_anew: &'a str) -> Self {
        Self {
            from,
            start_anew,
            number: 0,
            before: Fingerprint::default(),
        }
    }

    /// What the next line says; `None` at the end, or if it is torn.
    fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let mut limited = (&mut self.from).take(MAX_LINE_BYTES);
        limited.read_until(b'\n', &mut line).kind(Kind::Output)?;
        self.number += 1;
        if self.number == 1 {
            check_ours(&line)?;
        }
        if line.pop_if(|last| *last == b'\n').is_none() {
            let is_torn = (line.len() as u64) < MAX_LINE_BYTES;
            return if is_torn { Ok(None) } else { self.damaged() };
        }
        line.push(b'\n');
        let Some(content_bytes) = line.len().checked_sub(CHECKSUM_BYTES) else {
            return self.damaged();
        };
        let (content, checksum) = line.split_at(content_bytes);
        let crc32 = self.before.with(content).crc32;
        if checksum != format!(" {crc32:08x}\n").as_bytes() {
            return self.damaged();
        }
        self.before.add(&line);
        line.truncate(content_bytes);
        Ok(Some(line))
    }

    fn parse<'l, T: Deserialize<'l>>(&self, line: &'l [u8]) -> Result<T> {
        serde_json::from_slice(line).or_else(|_| self.damaged())
    }

    fn damaged<T>(&self) -> Result<T> {
        let number = self.number;
        let cause = format!("it is damaged: line {number} is not as it was written");
        Err(Error::message(Kind::Output, cause).with_tip(self.start_anew))
    }
}

/// Refuses a first line, torn or not, that this program cannot have begun.
fn check_ours(line: &[u8]) -> Result<()> {
    let begins = format!("[\"{FIRST_NAME}\",");
    let mut both = line.iter().zip(begins.as_bytes());
    if both.all(|(one, other)| one == other) {
        return Ok(());
    }
    let cause = "it was not written by this program";
    Err(Error::message(Kind::Output, cause))
}
