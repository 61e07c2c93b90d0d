//! Where the output goes: standard output, a stream, or a file that appears complete or not at all.

mod fingerprint;
mod finish;
mod origin;
mod partial;
mod side_file;
mod state;
mod target;

use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::Context;

use super::Assembly;
use crate::error::{Classify, Error, Kind, Result};
use crate::record::RunCounts;
use crate::standard_streams;
pub(crate) use origin::Finished;
use partial::Partial;
pub(crate) use partial::{Begun, KEEP_EVERY, PartialPolicy};
pub(crate) use state::Settings;
use target::Target;
pub(crate) use target::look_at;

const BUFFER_BYTES: usize = 1 << 18;

/// An open output.
pub(crate) struct Destination {
    writer: Inner,
    /// What messages call it.
    name: String,
}

enum Inner {
    /// Standard output, a pipe or a device: written as it comes.
    Stream(BufWriter<Box<dyn Write + Send>>),
    /// A file that takes its place when all is written.
    File(Box<Partial>),
}

impl Destination {
    /// Standard output.
    ///
    /// # Errors
    /// [`Kind::Output`] if it was closed when the process started.
    pub(crate) fn standard_output() -> Result<Self> {
        let writer = Inner::stream(standard_streams::output()?);
        let name = "standard output".to_owned();
        Ok(Self { writer, name })
    }

    /// The file at `path`, or what a link there points to; a pipe or a device is streamed to,
    /// and `-` is standard output.
    ///
    /// Nothing is changed at `path` before [`Destination::finish`].
    ///
    /// # Errors
    /// [`Kind::Output`] if the directory is missing or cannot be written, if `path` is a directory,
    /// or if an interrupted run has left something that `policy` does not continue.
    pub(crate) fn open(path: &Path, policy: PartialPolicy) -> Result<Self> {
        if [Path::new("-"), Path::new("/dev/stdout")].contains(&path) {
            return Self::standard_output();
        }
        let name = format!("`{}`", path.display());
        let writer = Inner::open(path, policy)
            .map_err(|error| error.context(format!("could not write {name}")))?;
        Ok(Self { writer, name })
    }

    /// Prepares for writing records of `settings`, behind those that an interrupted run has already
    /// written, if the output is not complete.
    ///
    /// # Errors
    /// [`Kind::Usage`] if the interrupted run had other settings; [`Kind::Output`] if the run that
    /// completed the output had, if it cannot be told, or if files are damaged or cannot be read or
    /// written.
    pub(crate) fn begin(&mut self, settings: &Settings) -> Result<Begun> {
        match &mut self.writer {
            Inner::Stream(_) => Ok(Begun::Open(RunCounts::default())),
            Inner::File(partial) => partial
                .begin(settings)
                .map_err(|error| error.context(format!("could not resume {}", self.name))),
        }
    }

    /// The error if the output is complete, but of another run, because of `cause`.
    #[must_use]
    pub(crate) fn of_another_run(&self, cause: &str) -> Error {
        let message = format!("it is complete, of another run: {cause}");
        Error::message(Kind::Output, message)
            .context(format!("could not resume {}", self.name))
            .with_tip(origin::REPLACE)
    }

    /// Where the records are kept if the run is interrupted.
    #[must_use]
    pub(crate) fn partial_path(&self) -> Option<&Path> {
        match &self.writer {
            Inner::Stream(_) => None,
            Inner::File(partial) => partial.kept_path(),
        }
    }

    /// What messages call it.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is written as it comes rather than a file.
    #[must_use]
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.writer, Inner::Stream(_))
    }

    /// Makes the records of `counts`, which are all that was written so far, visible to a reader of
    /// the stream. In a partial file they outlive an interruption, at the latest after
    /// [`KEEP_EVERY`] or if it must be `now`.
    ///
    /// # Errors
    /// [`Kind::Output`] if it cannot be written.
    pub(crate) fn keep(&mut self, counts: &RunCounts, now: bool) -> Result<()> {
        let kept = match &mut self.writer {
            Inner::Stream(stream) => stream.flush().map_err(anyhow::Error::from),
            Inner::File(partial) => partial.keep(counts, now),
        };
        kept.with_context(|| format!("could not write {}", self.name))
            .kind(Kind::Output)
    }

    /// Writes out what is buffered and gives the file, with the records of `counts`, its name; with
    /// an `assembly`, the file that it makes of all that was written. The records must have been
    /// kept before.
    ///
    /// # Errors
    /// [`Kind::Output`] if it cannot be written; the old file is then still there.
    pub(crate) fn finish(self, counts: &RunCounts, assembly: Option<&dyn Assembly>) -> Result<()> {
        let Self { writer, name } = self;
        let finished = match writer {
            Inner::Stream(mut stream) => stream.flush().kind(Kind::Output),
            Inner::File(partial) => partial.finish(counts, assembly),
        };
        finished.map_err(|error| error.context(format!("could not write {name}")))
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.as_write().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.as_write().flush()
    }
}

impl Inner {
    fn stream(to: impl Write + Send + 'static) -> Self {
        Self::Stream(BufWriter::with_capacity(BUFFER_BYTES, Box::new(to)))
    }

    fn as_write(&mut self) -> &mut dyn Write {
        match self {
            Self::Stream(stream) => stream,
            Self::File(partial) => &mut partial.data,
        }
    }

    fn open(path: &Path, policy: PartialPolicy) -> Result<Self> {
        Ok(match target::resolve(path).kind(Kind::Output)? {
            Target::Stream(file) => Self::stream(file),
            Target::File { path, permissions } => {
                Self::File(Box::new(Partial::open(path, permissions, policy)?))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_appears_when_finished_and_not_before() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("out");
        fs::write(&path, "old").expect("the old file");
        let mut abandoned = Destination::open(&path, PartialPolicy::Dropped).expect("it opens");
        abandoned.write_all(b"half").expect("it writes");
        drop(abandoned);
        assert_eq!(fs::read(&path).expect("it is there"), b"old");
        let entries = || fs::read_dir(directory.path()).expect("a listing").count();
        assert_eq!(entries(), 1);
        let mut finished = Destination::open(&path, PartialPolicy::Dropped).expect("it opens");
        finished.write_all(b"new").expect("it writes");
        finished
            .finish(&RunCounts::default(), None)
            .expect("it finishes");
        assert_eq!(fs::read(&path).expect("it is there"), b"new");
        assert_eq!(entries(), 1);
    }

    #[test]
    fn a_link_keeps_pointing_and_its_target_is_replaced() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (link, target) = (
            directory.path().join("link"),
            directory.path().join("target"),
        );
        std::os::unix::fs::symlink("target", &link).expect("a link");
        let mut output = Destination::open(&link, PartialPolicy::Dropped).expect("it opens");
        output.write_all(b"x").expect("it writes");
        output
            .finish(&RunCounts::default(), None)
            .expect("it finishes");
        assert!(fs::symlink_metadata(&link).expect("the link").is_symlink());
        assert_eq!(fs::read(&target).expect("the target"), b"x");
    }
}
