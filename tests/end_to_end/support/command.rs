//! Runs the built binary as a stranger would: empty directory, no `HF_*`, output captured.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The built binary in `directory` with every `HF_*` and proxy variable cleared and `HOME` there,
/// and no signal ignored, as it would be where the tests run behind a shell's `&`.
pub fn bert_embed(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bert-embed"));
    command
        .current_dir(directory)
        .env("HOME", directory)
        .stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let upper = name.to_string_lossy().to_uppercase();
        let is_default = [
            "BERT_EMBED_MODEL",
            "BERT_EMBED_DEVICE",
            "BERT_EMBED_THREADS",
        ]
        .contains(&upper.as_str());
        if upper.starts_with("HF_")
            || upper.ends_with("_PROXY")
            || upper == "XDG_CACHE_HOME"
            || is_default
        {
            command.env_remove(&name);
        }
    }
    // SAFETY: between fork and exec it makes system calls that a signal's handler may make too.
    unsafe {
        command.pre_exec(|| {
            for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
                libc::signal(signal, libc::SIG_DFL);
            }
            Ok(())
        });
    }
    command
}

/// Runs `command` with `input` on its standard input.
pub fn run_with_input(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = child.stdin.take().expect("standard input is piped");
    std::thread::scope(|scope| {
        // A binary that stops reading early closes the pipe: that is its own affair.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().expect("the binary ends")
    })
}

/// Runs `command` and gives (exit code, stdout, stderr).
pub fn run(command: &mut Command) -> (i32, String, String) {
    parts(&command.output().expect("the binary starts"))
}

/// (exit code, stdout, stderr) of a finished process; a signal counts as 128 + its number.
pub fn parts(output: &Output) -> (i32, String, String) {
    use std::os::unix::process::ExitStatusExt;
    let code = output
        .status
        .code()
        .or_else(|| output.status.signal().map(|s| 128 + s));
    (
        code.expect("a code or a signal"),
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}
