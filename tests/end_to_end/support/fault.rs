//! Makes one system call of the program fail: builds `fault.c` and preloads it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// What happens to the chosen call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It returns this error.
    Errno(i32),
    /// It reads or writes half of the bytes.
    Short,
    /// SIGKILL ends the process before it.
    Kill,
}

/// One call that fails.
#[derive(Clone, Debug)]
pub struct Fault<'a> {
    /// The kind of call, as `fault.c` names it.
    pub call: &'a str,
    /// Which of these calls on files under `under`, from 1.
    pub nth: usize,
    pub failure: Failure,
    /// The directory or file whose calls are counted; absolute, without links.
    pub under: &'a Path,
}

impl Fault<'_> {
    /// Puts the fault into `command`.
    pub fn inject(&self, command: &mut Command) {
        let code = match self.failure {
            Failure::Errno(errno) => errno,
            Failure::Short => 0,
            Failure::Kill => -1,
        };
        let report = report();
        let _ = fs::remove_file(&report);
        command
            .env("LD_PRELOAD", library())
            .env("FAULT_CALL", self.call)
            .env("FAULT_NTH", self.nth.to_string())
            .env("FAULT_ERROR", code.to_string())
            .env("FAULT_UNDER", self.under)
            .env("FAULT_REPORT", report);
    }
}

/// The path of the file whose call has failed in this thread's last run; `None` if none has.
pub fn failed_path() -> Option<PathBuf> {
    fs::read_to_string(report()).ok().map(PathBuf::from)
}

/// The file that gets the path of the failed call, one a thread.
fn report() -> PathBuf {
    let thread = std::thread::current().id();
    let name = format!("fault-{}-{thread:?}", std::process::id());
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// The library, built once.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/end_to_end/support/fault.c");
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fault.so");
        let built = Command::new("cc")
            .args([
                "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-O1", "-o",
            ])
            .arg(&library)
            .arg(source)
            .status();
        assert!(built.is_ok_and(|status| status.success()), "cc");
        library
    })
}
