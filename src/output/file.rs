//! Where the output goes: standard output, a file that appears complete or not at all, a stream.
//!
//! Owns the temporary file beside the target and its renaming; one that outlives an interruption is
//! `partial.rs`'s.

use std::fs::{self, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::NamedTempFile;

use super::Assembly;
use super::partial::Partial;
use super::state::Settings;
use crate::error::{Classify, Error, Kind, Result};
use crate::record::RunCounts;

pub(super) const BUFFER_BYTES: usize = 1 << 18;

/// An open output.
pub struct Destination {
    writer: Inner,
    /// What messages call it.
    name: String,
}

enum Inner {
    /// Standard output, a pipe or a device: written as it comes.
    Stream(BufWriter<Box<dyn Write + Send>>),
    /// A file that takes its place when all is written.
    File {
        temporary: BufWriter<NamedTempFile>,
        target: PathBuf,
    },
    /// The same for a run that may be interrupted and resumed.
    Partial(Partial),
}

/// What becomes of a file that is not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfinished {
    /// It is of no use and goes.
    Dropped,
    /// It stays, and none may be there from an earlier run.
    Kept,
    /// It stays, and one of an earlier run is continued.
    Resumed,
}

impl Destination {
    /// Standard output.
    #[must_use]
    pub fn standard_output() -> Self {
        let stream: Box<dyn Write + Send> = Box::new(io::stdout());
        let writer = Inner::Stream(BufWriter::with_capacity(BUFFER_BYTES, stream));
        Self {
            writer,
            name: "standard output".to_owned(),
        }
    }

    /// The file at `path`, or what a link there points to; a pipe or a device is streamed to,
    /// and `-` is standard output.
    ///
    /// Nothing is changed at `path` before [`Destination::finish`].
    ///
    /// # Errors
    /// [`Kind::Output`] where the directory is missing or cannot be written, `path` is one, or an
    /// interrupted run has left something that is not to be resumed.
    pub fn open(path: &Path, unfinished: Unfinished) -> Result<Self> {
        if [Path::new("-"), Path::new("/dev/stdout")].contains(&path) {
            return Ok(Self::standard_output());
        }
        let name = format!("`{}`", path.display());
        let writer = Inner::open(path, unfinished)
            .map_err(|error| error.context(format!("could not write {name}")))?;
        Ok(Self { writer, name })
    }

    /// Prepares for writing records of `settings`; what an interrupted run has written of them.
    ///
    /// # Errors
    /// [`Kind::Usage`] where it had other settings, [`Kind::Output`] where the files fail.
    pub fn begin(&mut self, settings: &Settings) -> Result<RunCounts> {
        match &mut self.writer {
            Inner::Stream(_) | Inner::File { .. } => Ok(RunCounts::default()),
            Inner::Partial(partial) => partial
                .begin(settings)
                .map_err(|error| error.context(format!("could not resume {}", self.name))),
        }
    }

    /// Whether a file is there that needs no resuming.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        matches!(&self.writer, Inner::Partial(partial) if partial.is_complete())
    }

    /// Where the records are kept when the run is interrupted.
    #[must_use]
    pub fn partial_path(&self) -> Option<&Path> {
        match &self.writer {
            Inner::Partial(partial) => Some(partial.path()),
            Inner::Stream(_) | Inner::File { .. } => None,
        }
    }

    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a file rather than a stream.
    #[must_use]
    pub fn is_file(&self) -> bool {
        !matches!(self.writer, Inner::Stream(_))
    }

    /// Makes the records of `tally`, which are all that was written so far, visible to a reader of
    /// the stream. In a partial file they outlive an interruption, at the latest after
    /// [`KEEP_EVERY`](super::KEEP_EVERY) or when it must be `now`.
    ///
    /// # Errors
    /// [`Kind::Output`] where it cannot be written.
    pub fn keep(&mut self, tally: &RunCounts, now: bool) -> Result<()> {
        let kept = match &mut self.writer {
            Inner::Stream(stream) => stream.flush(),
            Inner::File { .. } => Ok(()),
            Inner::Partial(partial) => partial.keep(tally, now),
        };
        kept.with_context(|| format!("could not write {}", self.name))
            .kind(Kind::Output)
    }

    /// Writes out what is buffered and gives the file its name; with an `assembly`, the file that it
    /// makes of all that was written.
    ///
    /// # Errors
    /// [`Kind::Output`] where it cannot be written; the old file is then still there.
    pub fn finish(self, assembly: Option<&dyn Assembly>) -> Result<()> {
        let Self { writer, name } = self;
        let persisted = match writer {
            Inner::Stream(mut stream) => stream.flush().kind(Kind::Output),
            Inner::File { temporary, target } => persist(temporary, &target).kind(Kind::Output),
            Inner::Partial(partial) => partial.finish(assembly),
        };
        persisted.map_err(|error| error.context(format!("could not write {name}")))
    }
}

fn persist(temporary: BufWriter<NamedTempFile>, target: &Path) -> io::Result<()> {
    let temporary = temporary
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    temporary.as_file().sync_all()?;
    temporary.persist(target)?;
    Ok(())
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.writer {
            Inner::Stream(stream) => stream.write(bytes),
            Inner::File { temporary, .. } => temporary.write(bytes),
            Inner::Partial(partial) => partial.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.writer {
            Inner::Stream(stream) => stream.flush(),
            Inner::File { temporary, .. } => temporary.flush(),
            Inner::Partial(partial) => partial.flush(),
        }
    }
}

impl Inner {
    fn open(path: &Path, unfinished: Unfinished) -> Result<Self> {
        // What `/dev/fd/1` links to has a text there that is no path, so it is opened by its name.
        if fs::metadata(path).is_ok_and(|there| is_stream(&there)) {
            let file = fs::OpenOptions::new().write(true).open(path);
            let file: Box<dyn Write + Send> = Box::new(file.kind(Kind::Output)?);
            return Ok(Self::Stream(BufWriter::with_capacity(BUFFER_BYTES, file)));
        }
        let target = follow_links(path).kind(Kind::Output)?;
        // A new file is made as the shell's `>` makes it: the process's umask takes its share.
        let permissions = match fs::metadata(&target) {
            Ok(there) if there.is_dir() => {
                return Err(Error::message(Kind::Output, "it is a directory"));
            }
            there => there.ok().map(|there| there.permissions()),
        };
        let temporary = temporary(&target, permissions.clone()).kind(Kind::Output)?;
        if unfinished == Unfinished::Dropped {
            let temporary = BufWriter::with_capacity(BUFFER_BYTES, temporary);
            return Ok(Self::File { temporary, target });
        }
        let resume = unfinished == Unfinished::Resumed;
        Partial::open(target, permissions, resume).map(Self::Partial)
    }
}

/// A temporary file beside `target`; its error says what is wrong with the directory.
fn temporary(target: &Path, permissions: Option<Permissions>) -> anyhow::Result<NamedTempFile> {
    let directory = match target.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    anyhow::ensure!(
        directory.is_dir(),
        "there is no directory `{}`",
        directory.display()
    );
    tempfile::Builder::new()
        .prefix(".bert-embed-")
        .permissions(permissions.unwrap_or_else(|| Permissions::from_mode(0o666)))
        .tempfile_in(directory)
        // Its own words name the temporary file, which nobody has typed.
        .map_err(|cause| io::Error::from(cause.kind()))
        .with_context(|| format!("the directory `{}` cannot be written", directory.display()))
}

fn is_stream(metadata: &fs::Metadata) -> bool {
    let kind = metadata.file_type();
    kind.is_fifo() || kind.is_char_device() || kind.is_block_device() || kind.is_socket()
}

/// The path that `path` leads to; it need not exist.
fn follow_links(path: &Path) -> anyhow::Result<PathBuf> {
    // The kernel's own limit.
    const MAX_LINKS: usize = 40;
    let mut target = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&target) {
            Ok(next) => target = target.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => return Ok(target),
        }
    }
    anyhow::bail!("too many links")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_when_finished_and_not_before() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("out");
        fs::write(&path, "old").expect("the old file");
        let mut abandoned = Destination::open(&path, Unfinished::Dropped).expect("it opens");
        abandoned.write_all(b"half").expect("it writes");
        drop(abandoned);
        assert_eq!(fs::read(&path).expect("it is there"), b"old");
        assert_eq!(
            fs::read_dir(directory.path()).expect("a listing").count(),
            1
        );
        let mut finished = Destination::open(&path, Unfinished::Dropped).expect("it opens");
        finished.write_all(b"new").expect("it writes");
        finished.finish(None).expect("it finishes");
        assert_eq!(fs::read(&path).expect("it is there"), b"new");
    }

    #[test]
    fn a_link_keeps_pointing_and_its_target_is_replaced() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (link, target) = (
            directory.path().join("link"),
            directory.path().join("target"),
        );
        std::os::unix::fs::symlink("target", &link).expect("a link");
        let mut output = Destination::open(&link, Unfinished::Dropped).expect("it opens");
        output.write_all(b"x").expect("it writes");
        output.finish(None).expect("it finishes");
        assert!(fs::symlink_metadata(&link).expect("the link").is_symlink());
        assert_eq!(fs::read(&target).expect("the target"), b"x");
    }
}
