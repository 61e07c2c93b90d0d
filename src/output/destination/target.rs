//! What `-o FILE` names: a stream, or the path and permissions of a file.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::error::is_not_there;

/// What a path of the command line leads to.
pub(super) enum Target {
    /// A pipe, a device or a socket, open for writing.
    Stream(File),
    /// A file, which need not exist.
    File {
        /// The path after all links.
        path: PathBuf,
        /// Permissions of the existing file, if there is one.
        permissions: Option<Permissions>,
    },
}

impl Target {
    pub(super) fn resolve(path: &Path) -> Result<Self> {
        // `/dev/fd/1` links to something that is not a path (`pipe:[…]`), so a stream is opened by
        // the name it was given.
        if metadata_if_exists(path)?.as_ref().is_some_and(is_stream) {
            return Ok(Self::Stream(OpenOptions::new().write(true).open(path)?));
        }
        let path = follow_links(path)?;
        let metadata = metadata_if_exists(&path)?;
        let is_directory = metadata.as_ref().is_some_and(Metadata::is_dir);
        anyhow::ensure!(!is_directory, "it is a directory");
        let permissions = metadata.map(|metadata| metadata.permissions());
        Ok(Self::File { path, permissions })
    }
}

/// The metadata at `path`; `None` if nothing is there, which includes a loop of links.
pub(crate) fn metadata_if_exists(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::metadata(path) {
        Err(error) if is_not_there(&error) || error.raw_os_error() == Some(libc::ELOOP) => Ok(None),
        metadata => metadata.map(Some),
    }
}

fn is_stream(metadata: &Metadata) -> bool {
    let kind = metadata.file_type();
    kind.is_fifo() || kind.is_char_device() || kind.is_block_device() || kind.is_socket()
}

/// The path that `path` leads to; it need not exist.
fn follow_links(path: &Path) -> Result<PathBuf> {
    const MAX_LINKS: usize = 40;
    let mut target = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&target) {
            Ok(next) => target = target.parent().unwrap_or(Path::new("")).join(next),
            // It exists and is not a link.
            Err(error) if error.kind() == ErrorKind::InvalidInput => return Ok(target),
            Err(error) if is_not_there(&error) => return Ok(target),
            Err(error) => return Err(error.into()),
        }
    }
    anyhow::bail!("too many links")
}
