//! Where the output goes: standard output, a file that appears complete or not at all, a stream.
//!
//! Owns the temporary file beside the target and its renaming.

use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::NamedTempFile;

use crate::error::{Classify, Kind, Result};

const BUFFER_BYTES: usize = 1 << 18;

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
    /// [`Kind::Output`] where the directory is missing or cannot be written, or `path` is one.
    pub fn open(path: &Path) -> Result<Self> {
        if [Path::new("-"), Path::new("/dev/stdout")].contains(&path) {
            return Ok(Self::standard_output());
        }
        let name = format!("`{}`", path.display());
        let writer = Inner::open(path)
            .with_context(|| format!("could not write {name}"))
            .kind(Kind::Output)?;
        Ok(Self { writer, name })
    }

    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a file rather than a stream, so that its beginning can be written last.
    #[must_use]
    pub fn is_file(&self) -> bool {
        matches!(self.writer, Inner::File { .. })
    }

    /// A nameless file beside the target for what has to wait; it is gone when it is closed.
    ///
    /// # Errors
    /// [`Kind::Output`] where there can be none.
    pub fn spool(&self) -> Result<File> {
        let spool = match &self.writer {
            Inner::Stream(_) => tempfile::tempfile(),
            Inner::File { temporary, .. } => {
                let path = temporary.get_ref().path();
                tempfile::tempfile_in(path.parent().unwrap_or(Path::new(".")))
            }
        };
        spool
            .with_context(|| format!("could not write {}", self.name))
            .kind(Kind::Output)
    }

    /// Puts `bytes` in the place of as many at the beginning of a file.
    ///
    /// # Errors
    /// [`Kind::Output`] where they cannot be written, or the destination is a stream.
    pub fn replace_head(&mut self, bytes: &[u8]) -> Result<()> {
        let replaced = match &mut self.writer {
            Inner::Stream(_) => Err(io::ErrorKind::NotSeekable.into()),
            Inner::File { temporary, .. } => temporary
                .rewind()
                .and_then(|()| temporary.write_all(bytes))
                .and_then(|()| temporary.seek(SeekFrom::End(0)).map(|_| ())),
        };
        replaced
            .with_context(|| format!("could not write {}", self.name))
            .kind(Kind::Output)
    }

    /// Makes everything written so far visible to a reader of the stream.
    ///
    /// # Errors
    /// [`Kind::Output`] where it cannot be written.
    pub fn flush_stream(&mut self) -> Result<()> {
        match &mut self.writer {
            Inner::Stream(stream) => stream
                .flush()
                .with_context(|| format!("could not write {}", self.name))
                .kind(Kind::Output),
            Inner::File { .. } => Ok(()),
        }
    }

    /// Writes out what is buffered and gives the file its name.
    ///
    /// # Errors
    /// [`Kind::Output`] where it cannot be written; the old file is then still there.
    pub fn finish(self) -> Result<()> {
        let Self { writer, name } = self;
        let persisted = match writer {
            Inner::Stream(mut stream) => stream.flush(),
            Inner::File { temporary, target } => persist(temporary, &target),
        };
        persisted
            .with_context(|| format!("could not write {name}"))
            .kind(Kind::Output)
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
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.writer {
            Inner::Stream(stream) => stream.flush(),
            Inner::File { temporary, .. } => temporary.flush(),
        }
    }
}

impl Inner {
    fn open(path: &Path) -> anyhow::Result<Self> {
        // What `/dev/fd/1` links to has a text there that is no path, so it is opened by its name.
        if fs::metadata(path).is_ok_and(|there| is_stream(&there)) {
            let file: Box<dyn Write + Send> =
                Box::new(fs::OpenOptions::new().write(true).open(path)?);
            return Ok(Self::Stream(BufWriter::with_capacity(BUFFER_BYTES, file)));
        }
        let target = follow_links(path)?;
        match fs::metadata(&target) {
            Ok(there) if there.is_dir() => anyhow::bail!("it is a directory"),
            Ok(there) => Self::beside(target, there.permissions()),
            // As the shell's `>` makes it: the process's umask takes its share.
            Err(_) => Self::beside(target, Permissions::from_mode(0o666)),
        }
    }

    fn beside(target: PathBuf, permissions: Permissions) -> anyhow::Result<Self> {
        let directory = match target.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        anyhow::ensure!(
            directory.is_dir(),
            "there is no directory `{}`",
            directory.display()
        );
        let temporary = tempfile::Builder::new()
            .prefix(".bert-embed-")
            .permissions(permissions)
            .tempfile_in(directory)
            // Its own words name the temporary file, which nobody has typed.
            .map_err(|cause| io::Error::from(cause.kind()))
            .with_context(|| {
                format!("the directory `{}` cannot be written", directory.display())
            })?;
        Ok(Self::File {
            temporary: BufWriter::with_capacity(BUFFER_BYTES, temporary),
            target,
        })
    }
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
        let mut abandoned = Destination::open(&path).expect("it opens");
        abandoned.write_all(b"half").expect("it writes");
        drop(abandoned);
        assert_eq!(fs::read(&path).expect("it is there"), b"old");
        assert_eq!(
            fs::read_dir(directory.path()).expect("a listing").count(),
            1
        );
        let mut finished = Destination::open(&path).expect("it opens");
        finished.write_all(b"new").expect("it writes");
        finished.finish().expect("it finishes");
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
        let mut output = Destination::open(&link).expect("it opens");
        output.write_all(b"x").expect("it writes");
        output.finish().expect("it finishes");
        assert!(fs::symlink_metadata(&link).expect("the link").is_symlink());
        assert_eq!(fs::read(&target).expect("the target"), b"x");
    }
}
