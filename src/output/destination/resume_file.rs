//! `FILE.resume`: the settings of an unfinished output, and how many of its records are on disk.
//!
//! Line 1 has the settings, each later line a sync point. Every line ends with the CRC-32 of the
//! file up to there, so a damaged file is refused. Only the last line may be torn: an interrupted
//! write does that.

use std::fs::TryLockError;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::fingerprint::Fingerprint;
use super::side_file::{SideFile, could_not_use, start_over_tip};
use crate::error::{Error, Kind};
use crate::record::RunCounts;

/// Everything but the texts that decides the bytes of an output: name and value, in order.
pub(crate) type Settings = Vec<(String, String)>;

/// Line 1 begins with this name, so that no other program's file is taken for ours.
const FIRST_NAME: &str = "bert-embed";

/// No line of ours is longer: the system limits the length of a command line.
const MAX_LINE_BYTES: u64 = 4 << 20;

/// Bytes of a line's checksum, with the space before and the newline after it.
const CHECKSUM_BYTES: usize = " 00000000\n".len();

/// A point up to which the output is on disk, or its end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SyncPoint {
    /// The first bytes of `FILE.partial`, which hold complete records only, or the finished file.
    pub(super) data: Fingerprint,
    pub(super) counts: RunCounts,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Entry {
    Synced(SyncPoint),
    /// All records are written, and the file with these bytes is about to be renamed.
    Finished(SyncPoint),
}

/// `FILE.resume`, locked by this process.
pub(super) struct ResumeFile {
    pub(super) file: SideFile,
    /// Line 1, `None` if it is missing or torn.
    pub(super) settings: Option<Settings>,
    /// The last sync point that `FILE.partial` is long enough for.
    pub(super) sync_point: SyncPoint,
    /// The file that an earlier run had finished, if it got that far.
    pub(super) finished: Option<SyncPoint>,
    /// The lines up to and including the one of `sync_point`.
    lines: Fingerprint,
}

/// Opens and locks the file at `path`.
pub(super) fn lock(path: &Path, mode: u32) -> Result<SideFile> {
    loop {
        let file = SideFile::open(path, mode)?;
        let locked = match file.file.try_lock() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => Err(anyhow::anyhow!("another process is writing it")),
            Err(TryLockError::Error(error)) => without_locks(error),
        };
        let locked = locked.and_then(|()| Ok(file.is_in_place()?));
        // Between opening and locking its owner may have finished and removed it.
        if locked.with_context(|| could_not_use(path))? {
            return Ok(file);
        }
    }
}

/// A file system that does not support locks is used without them.
fn without_locks(error: io::Error) -> Result<()> {
    let has_none = error.kind() == ErrorKind::Unsupported
        || [Some(libc::ENOSYS), Some(libc::ENOLCK)].contains(&error.raw_os_error());
    if has_none { Ok(()) } else { Err(error.into()) }
}

impl ResumeFile {
    /// Reads `file`, which belongs to a `FILE.partial` of `data_bytes`.
    pub(super) fn read(file: SideFile, data_bytes: u64) -> Result<Self> {
        let mut this = Self {
            file,
            settings: None,
            sync_point: SyncPoint::default(),
            finished: None,
            lines: Fingerprint::default(),
        };
        let read = this.read_lines(data_bytes);
        read.with_context(|| could_not_use(&this.file.path))
            .inspect_err(|_| this.file.remove_if_new())?;
        Ok(this)
    }

    fn read_lines(&mut self, data_bytes: u64) -> Result<()> {
        let mut lines = Lines {
            from: BufReader::new(&self.file.file),
            path: &self.file.path,
            number: 0,
            before: Fingerprint::default(),
        };
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
                Entry::Synced(point) if point.data.size_bytes > data_bytes => {}
                Entry::Synced(point) => {
                    self.sync_point = point;
                    self.lines = lines.before;
                }
            }
        }
        Ok(())
    }

    /// Empties the file and writes `settings`.
    pub(super) fn start_over(&mut self, settings: &Settings) -> Result<()> {
        (self.settings, self.finished) = (None, None);
        self.sync_point = SyncPoint::default();
        self.lines = Fingerprint::default();
        self.file.truncate(0)?;
        self.append(&(FIRST_NAME, settings))?;
        self.settings = Some(settings.clone());
        self.file.file.sync_all()?;
        Ok(())
    }

    /// Continues writing after the last sync point.
    pub(super) fn resume(&mut self) -> Result<()> {
        self.finished = None;
        Ok(self.file.truncate(self.lines.size_bytes)?)
    }

    pub(super) fn add_sync_point(&mut self, point: SyncPoint) -> Result<()> {
        self.append(&Entry::Synced(point.clone()))?;
        self.sync_point = point;
        Ok(())
    }

    pub(super) fn finish(&mut self, file: SyncPoint) -> Result<()> {
        self.append(&Entry::Finished(file))
    }

    /// Adds a line. If that fails and is tried again, the new line replaces the torn one.
    fn append(&mut self, content: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(content)?;
        let crc32 = self.lines.with(&line).crc32;
        line.extend_from_slice(format!(" {crc32:08x}\n").as_bytes());
        let end = self.lines.size_bytes;
        self.file.file.write_all_at(&line, end)?;
        self.lines.add(&line);
        Ok(())
    }
}

struct Lines<'a, R> {
    from: R,
    path: &'a Path,
    number: usize,
    /// All lines read so far.
    before: Fingerprint,
}

impl<R: BufRead> Lines<'_, R> {
    /// The next line without its checksum; `None` at the end, or if it is torn.
    fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let mut limited = (&mut self.from).take(MAX_LINE_BYTES);
        limited.read_until(b'\n', &mut line)?;
        self.number += 1;
        if self.number == 1 {
            check_first_name(&line)?;
        }
        if line.last() != Some(&b'\n') {
            let is_torn = (line.len() as u64) < MAX_LINE_BYTES;
            return if is_torn { Ok(None) } else { self.damaged() };
        }
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
        let cause = format!("it is damaged: line {number} is not what was written");
        let error = Error::message(Kind::Output, cause);
        Err(error.with_tip(start_over_tip(self.path)).into())
    }
}

/// Refuses a first line, torn or not, that this program cannot have written.
fn check_first_name(line: &[u8]) -> Result<()> {
    let expected = format!("[\"{FIRST_NAME}\",");
    let mut both = line.iter().zip(expected.as_bytes());
    anyhow::ensure!(
        both.all(|(found, expected)| found == expected),
        "it was not written by this program"
    );
    Ok(())
}
