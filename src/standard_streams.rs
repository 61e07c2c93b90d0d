//! Standard input and output, refused if they were closed when the process started.
//!
//! Before `main`, Rust's runtime opens `/dev/null` in place of a closed stream: writing then seems
//! to succeed and reading seems to end. So this module looks before the runtime starts.

use std::io::{self, Stdin, Stdout, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;

use crate::error::{Classify, Error, Kind, Result};

const COULD_NOT_WRITE: &str = "could not write standard output";

static INPUT_IS_CLOSED: AtomicBool = AtomicBool::new(false);
static OUTPUT_IS_CLOSED: AtomicBool = AtomicBool::new(false);

/// The loader calls the functions in this section before the runtime starts.
#[used]
// SAFETY: the section holds pointers to functions that take what C's `main` takes, or nothing;
// `look` takes nothing, and uses neither memory nor the runtime.
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
#[cfg_attr(target_os = "macos", unsafe(link_section = "__DATA,__mod_init_func"))]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    INPUT_IS_CLOSED.store(is_closed(libc::STDIN_FILENO), Ordering::Relaxed);
    OUTPUT_IS_CLOSED.store(is_closed(libc::STDOUT_FILENO), Ordering::Relaxed);
}

fn is_closed(stream: i32) -> bool {
    // SAFETY: the call only reads flags of a descriptor; it fails if there is none.
    unsafe { libc::fcntl(stream, libc::F_GETFD) == -1 }
}

/// # Errors
/// [`Kind::Input`] if it was closed.
pub(crate) fn input() -> Result<Stdin> {
    if INPUT_IS_CLOSED.load(Ordering::Relaxed) {
        let error = Error::message(Kind::Input, "it is closed");
        return Err(error.context("could not read standard input"));
    }
    Ok(io::stdin())
}

/// # Errors
/// [`Kind::Output`] if it was closed.
pub(crate) fn output() -> Result<Stdout> {
    if OUTPUT_IS_CLOSED.load(Ordering::Relaxed) {
        let error = Error::message(Kind::Output, "it is closed");
        return Err(error.context(COULD_NOT_WRITE));
    }
    Ok(io::stdout())
}

/// Writes all of `text` to standard output.
///
/// # Errors
/// [`Kind::Output`] if it was closed or cannot be written.
pub(crate) fn print(text: &[u8]) -> Result<()> {
    let mut output = output()?;
    output
        .write_all(text)
        .and_then(|()| output.flush())
        .context(COULD_NOT_WRITE)
        .kind(Kind::Output)
}
