//! Where the output goes: standard output, a stream, or a file that appears complete or not at all.

mod fingerprint;
mod finish;
mod partial;
mod provenance;
mod resume_file;
mod side_file;
mod target;

use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::Context;

use super::Assembly;
use crate::error::{Classify, Error, Kind, Result};
use crate::record::RunCounts;
use crate::standard_streams;
use partial::PartialOutput;
pub(crate) use partial::{OutputStatus, PartialPolicy, SYNC_INTERVAL};
pub(crate) use provenance::CompletedRecords;
pub(crate) use resume_file::Settings;
use target::Target;
pub(crate) use target::metadata_if_exists;

const BUFFER_BYTES: usize = 1 << 18;

pub(crate) struct Destination {
    sink: Sink,
    name: String,
}

enum Sink {
    /// Standard output, a pipe or a device.
    Stream(BufWriter<Box<dyn Write + Send>>),
    /// A file that takes its name when complete.
    File(Box<PartialOutput>),
}

impl Destination {
    pub(crate) fn standard_output() -> Result<Self> {
        let sink = Sink::stream(standard_streams::output()?);
        let name = Self::name_of(Path::new("-"));
        Ok(Self { sink, name })
    }

    /// The name of the output at `path` in messages.
    pub(crate) fn name_of(path: &Path) -> String {
        if is_standard_output(path) {
            return "standard output".to_owned();
        }
        format!("`{}`", path.display())
    }

    /// The file at `path`, or what a link there points to; a pipe or a device is a stream, and `-`
    /// is standard output.
    ///
    /// Nothing is changed at `path` before [`Destination::finish`].
    ///
    /// # Errors
    /// [`Kind::Output`] if the directory is missing or cannot be written, if `path` is a directory,
    /// or if an interrupted run has left something that `policy` does not continue.
    pub(crate) fn open(path: &Path, policy: PartialPolicy) -> Result<Self> {
        if is_standard_output(path) {
            return Self::standard_output();
        }
        let name = Self::name_of(path);
        let sink = Sink::open(path, policy);
        let sink = sink.with_context(|| format!("could not write {name}"));
        let sink = sink.kind(Kind::Output)?;
        Ok(Self { sink, name })
    }

    /// Prepares for writing records with `settings` after the records of an interrupted run, unless
    /// the output is complete.
    ///
    /// # Errors
    /// [`Kind::Usage`] if the interrupted run had other settings; [`Kind::Output`] if the run that
    /// completed the output had, if nothing records which run that was, or if files are damaged or
    /// cannot be read or written.
    pub(crate) fn begin(&mut self, settings: &Settings) -> Result<OutputStatus> {
        match &mut self.sink {
            Sink::Stream(_) => Ok(OutputStatus::Unfinished(RunCounts::default())),
            Sink::File(partial) => partial
                .begin(settings)
                .with_context(|| format!("could not resume {}", self.name))
                .kind(Kind::Output),
        }
    }

    /// The error if a different run has completed the output, as `cause` shows.
    pub(crate) fn of_another_run(&self, cause: &str) -> Error {
        Error::message(Kind::Output, provenance::of_another_run(cause))
            .context(format!("could not resume {}", self.name))
            .with_tip(provenance::REPLACE)
    }

    /// Where the records are if the run is interrupted.
    pub(crate) fn partial_path(&self) -> Option<&Path> {
        match &self.sink {
            Sink::Stream(_) => None,
            Sink::File(partial) => partial.surviving_path(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.sink, Sink::Stream(_))
    }

    /// Flushes everything written so far, the records of `counts`, to a stream. In a file they
    /// survive an interruption within [`SYNC_INTERVAL`], or immediately if `now` is set.
    pub(crate) fn sync(&mut self, counts: &RunCounts, now: bool) -> Result<()> {
        let synced = match &mut self.sink {
            Sink::Stream(stream) => stream.flush().map_err(anyhow::Error::from),
            Sink::File(partial) => partial.sync(counts, now),
        };
        synced
            .with_context(|| format!("could not write {}", self.name))
            .kind(Kind::Output)
    }

    /// Gives the complete file its name: the records of `counts`, or what `assembly` makes from
    /// them. They must have been synced.
    ///
    /// # Errors
    /// [`Kind::Output`] if it cannot be written; the old file is then unchanged.
    pub(crate) fn finish(self, counts: &RunCounts, assembly: Option<&dyn Assembly>) -> Result<()> {
        let finished = match self.sink {
            Sink::Stream(mut stream) => stream.flush().map_err(anyhow::Error::from),
            Sink::File(partial) => partial.finish(counts, assembly),
        };
        finished
            .with_context(|| format!("could not write {}", self.name))
            .kind(Kind::Output)
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sink.as_write().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.as_write().flush()
    }
}

impl Sink {
    fn stream(to: impl Write + Send + 'static) -> Self {
        Self::Stream(BufWriter::with_capacity(BUFFER_BYTES, Box::new(to)))
    }

    fn as_write(&mut self) -> &mut dyn Write {
        match self {
            Self::Stream(stream) => stream,
            Self::File(partial) => &mut partial.data,
        }
    }

    fn open(path: &Path, policy: PartialPolicy) -> anyhow::Result<Self> {
        Ok(match Target::resolve(path)? {
            Target::Stream(file) => Self::stream(file),
            Target::File { path, permissions } => {
                Self::File(Box::new(PartialOutput::open(path, permissions, policy)?))
            }
        })
    }
}

fn is_standard_output(path: &Path) -> bool {
    [Path::new("-"), Path::new("/dev/stdout")].contains(&path)
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
