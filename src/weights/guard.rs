//! Watches the weight files while they are mapped, because the run reads them until it ends.
//!
//! If a file is truncated, touching a lost page raises SIGBUS; if it is overwritten, the weights
//! change. Both end the run with an error instead of a crash or wrong vectors.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

use crate::checkpoint::directory::{could_not_use, model_error, open, unreadable};
use crate::checkpoint::weight_files::WeightFiles;
use crate::error::{Error, Kind, Result};

/// The message of the SIGBUS handler, which may neither allocate nor format.
static SIGBUS_MESSAGE: OnceLock<String> = OnceLock::new();

/// The weight files of a model as they were when the run started.
pub(crate) struct WeightGuard {
    files: Vec<Watched>,
}

/// An open file rather than a name: a new file with the same name does not change the mapping.
struct Watched {
    path: PathBuf,
    file: File,
    size_bytes: u64,
    /// `None` if the file system does not record it.
    modified: Option<SystemTime>,
}

impl WeightGuard {
    /// Starts to watch the weights in `directory`.
    ///
    /// # Errors
    /// [`Kind::Model`]: a file cannot be opened; [`Kind::Internal`]: the system refuses a signal
    /// handler.
    pub(crate) fn new(directory: &Path) -> Result<Self> {
        catch_sigbus(directory).map_err(|cause| Error::new(Kind::Internal, cause))?;
        let watch = |name: String| {
            let path = directory.join(name);
            Watched::open(&path).map_err(|error| error.context(could_not_use(&path)))
        };
        let (format, weights) = WeightFiles::find(directory)?;
        let names = weights.names(format);
        Ok(Self {
            files: names.into_iter().map(watch).collect::<Result<_>>()?,
        })
    }

    /// # Errors
    /// [`Kind::Model`]: a file has changed.
    pub(crate) fn check(&self) -> Result<()> {
        self.files.iter().try_for_each(|watched| {
            let checked = watched.check();
            checked.map_err(|error| error.context(could_not_use(&watched.path)))
        })
    }
}

impl Watched {
    fn open(path: &Path) -> Result<Self> {
        let (file, size_bytes) = open(path)?;
        let metadata = file.metadata().map_err(unreadable)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            size_bytes,
            modified: metadata.modified().ok(),
        })
    }

    fn check(&self) -> Result<()> {
        let metadata = self.file.metadata().map_err(unreadable)?;
        if metadata.len() != self.size_bytes || metadata.modified().ok() != self.modified {
            return Err(model_error(
                "it was changed during the run, so the vectors may be wrong",
            ));
        }
        Ok(())
    }
}

/// Makes SIGBUS print what happened to the weights in `directory` and end the process with exit
/// code 4.
fn catch_sigbus(directory: &Path) -> io::Result<()> {
    let message = format!(
        "error: could not read the weights in `{}`: a file was cut short, or its disk failed, \
         during the run\n",
        directory.display()
    );
    if SIGBUS_MESSAGE.set(message).is_err() {
        return Ok(());
    }
    let mut action: libc::sigaction;
    // SAFETY: all zeros are a valid action without flags; the handler has the right signature and
    // never returns to the fault, because it writes and exits.
    let refused = unsafe {
        action = std::mem::zeroed();
        action.sa_sigaction = say_and_exit as *const () as usize;
        libc::sigemptyset(&raw mut action.sa_mask);
        libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut()) != 0
    };
    if refused {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

extern "C" fn say_and_exit(_signal: libc::c_int) {
    let message = SIGBUS_MESSAGE.get().map_or("", String::as_str);
    // SAFETY: write and _exit are async-signal-safe; the message does not change any more.
    unsafe {
        libc::write(libc::STDERR_FILENO, message.as_ptr().cast(), message.len());
        libc::_exit(Kind::Model.exit_code().into());
    }
}
