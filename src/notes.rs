//! Notes, warnings and progress bars on standard error; `--quiet` silences them all.

use std::cell::RefCell;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

/// Quiet until the command changes it: a library does not write to standard error.
static IS_QUIET: AtomicBool = AtomicBool::new(true);

thread_local! {
    /// The notes and warnings of this thread, while [`collected`] runs.
    static COLLECTED: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Runs `work` and returns the notes and warnings that it produced on this thread instead of
/// printing them: a library returns them.
pub(crate) fn collected<T>(work: impl FnOnce() -> T) -> (T, Vec<String>) {
    COLLECTED.set(Some(Vec::new()));
    let result = work();
    (result, COLLECTED.take().unwrap_or_default())
}

pub(crate) fn set_quiet(is_quiet: bool) {
    IS_QUIET.store(is_quiet, Ordering::Relaxed);
}

pub(crate) fn is_quiet() -> bool {
    IS_QUIET.load(Ordering::Relaxed)
}

/// Prints something that the user should know, but that is not a fault.
pub(crate) fn note(text: &str) {
    print("note", text);
}

/// Prints something that the records do not show.
pub(crate) fn warning(text: &str) {
    print("warning", text);
}

/// Prints what a run has done, for a user at a terminal.
pub(crate) fn summary(text: &str) {
    print("done", text);
}

/// A progress bar in the style of `template`, hidden unless `draw` is set. Without `size_bytes` its
/// length is unknown.
pub(crate) fn bar(draw: bool, size_bytes: Option<u64>, template: &str) -> ProgressBar {
    let bar = match size_bytes {
        _ if !draw => ProgressBar::hidden(),
        Some(size_bytes) => ProgressBar::new(size_bytes),
        None => ProgressBar::no_length(),
    };
    // The template is a constant. If it were wrong, the default style would be used.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

fn print(kind: &str, text: &str) {
    let is_collected = COLLECTED.with_borrow_mut(|collected| {
        let kept = collected.as_mut().map(|notes| notes.push(text.to_owned()));
        kept.is_some()
    });
    if !is_collected && !is_quiet() {
        // If standard error is closed, the message is lost.
        let _ = writeln!(std::io::stderr(), "{kind}: {text}");
    }
}
