//! Watches the weight files while they are mapped: their bytes are read from the file until the run
//! ends.
//!
//! A file that is cut short raises SIGBUS when a lost page is touched; one that is overwritten
//! changes the numbers. Both end the run with an error instead of a crash or wrong vectors.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

use crate::checkpoint::directory::unusable;
use crate::checkpoint::local_file::{self, model_error};
use crate::checkpoint::weight_files::WeightFiles;
use crate::error::{Error, Kind, Result};

/// The message of the SIGBUS handler, which may neither allocate nor format.
static SIGBUS_MESSAGE: OnceLock<String> = OnceLock::new();

/// The weight files of one model as they were when the run began.
pub(crate) struct WeightGuard {
    files: Vec<Watched>,
}

/// The open file, not its name: a new file with the same name does no harm to the mapping.
struct Watched {
    path: PathBuf,
    file: File,
    size_bytes: u64,
    modified: Option<SystemTime>,
}

impl WeightGuard {
    /// Watches the weights in `directory` from now on.
    ///
    /// # Errors
    /// [`Kind::Model`]: a file cannot be opened; [`Kind::Internal`]: the system refuses a signal
    /// handler.
    pub(crate) fn new(directory: &Path) -> Result<Self> {
        catch_sigbus(directory).map_err(|cause| Error::new(Kind::Internal, cause))?;
        let watch = |name: String| {
            let path = directory.join(name);
            let (file, size_bytes) =
                local_file::open(&path).map_err(|error| unusable(&path, error))?;
            let metadata = file.metadata().map_err(|cause| unreadable(&path, &cause))?;
            let modified = modified(&metadata);
            Ok(Watched {
                path,
                file,
                size_bytes,
                modified,
            })
        };
        let (format, weights) = WeightFiles::find(directory)?;
        let names = weights.names(format);
        Ok(Self {
            files: names.into_iter().map(watch).collect::<Result<_>>()?,
        })
    }

    /// Makes sure that no file has changed.
    ///
    /// # Errors
    /// [`Kind::Model`], naming the file.
    pub(crate) fn check(&self) -> Result<()> {
        for watched in &self.files {
            let now = watched
                .file
                .metadata()
                .map_err(|cause| unreadable(&watched.path, &cause))?;
            if now.len() != watched.size_bytes || modified(&now) != watched.modified {
                let cause =
                    model_error("it was changed during the run, so the vectors may be wrong");
                return Err(unusable(&watched.path, cause));
            }
        }
        Ok(())
    }
}

fn unreadable(path: &Path, cause: &io::Error) -> Error {
    unusable(path, model_error(local_file::words(cause)))
}

/// `None` on a system that does not keep the time.
fn modified(metadata: &Metadata) -> Option<SystemTime> {
    metadata.modified().ok()
}

/// From now on, SIGBUS prints what happened to the weights in `directory` and ends the process with
/// exit code 4.
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
    // SAFETY: zeros are a valid action without flags; the handler is a function of the right form
    // that writes and exits, so it never returns to the fault.
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
    // SAFETY: write and _exit are async-signal-safe; the message is not changed any more.
    unsafe {
        libc::write(libc::STDERR_FILENO, message.as_ptr().cast(), message.len());
        libc::_exit(Kind::Model.exit_code().into());
    }
}
