//! Notes and warnings on standard error; `--quiet` silences them all.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

/// Silent until the command says otherwise: a library does not write to standard error.
static IS_QUIET: AtomicBool = AtomicBool::new(true);

/// Whether notes and warnings are left out from now on.
pub fn set_quiet(is_quiet: bool) {
    IS_QUIET.store(is_quiet, Ordering::Relaxed);
}

/// Something worth knowing that is no fault.
pub fn note(text: &str) {
    print("note", text);
}

/// Something that the records cannot say by themselves.
pub fn warning(text: &str) {
    print("warning", text);
}

/// What a run has done, for the person at the terminal.
pub(crate) fn summary(text: &str) {
    print("done", text);
}

fn print(kind: &str, text: &str) {
    if !IS_QUIET.load(Ordering::Relaxed) {
        // If standard error is closed, nobody is there to be told.
        let _ = writeln!(std::io::stderr(), "{kind}: {text}");
    }
}
