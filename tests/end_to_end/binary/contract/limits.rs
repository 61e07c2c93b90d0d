//! Limits of the system: memory that cannot be had and threads that cannot start are errors of the
//! device, never a panic or an abort.

use std::process::Command;

use super::{Place, as_lines};
use crate::support::command::{bert_embed, run};

/// The program under the limits that `ulimit` sets.
fn limited(place: &Place, ulimit: &str, arguments: &str) -> (i32, String, String) {
    let program = env!("CARGO_BIN_EXE_bert-embed");
    let script = format!("{ulimit} && exec '{program}' --offline -m model {arguments}");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).current_dir(place.path());
    run(&mut command)
}

#[test]
fn too_little_memory_is_a_device_error_wherever_it_runs_out() {
    let place = Place::new();
    place.write(
        "lines",
        as_lines((0..600).map(|line| format!("line {line}"))),
    );
    let (mut done, mut refused) = (0, 0);
    for mebibytes in (48..480).step_by(16) {
        let ulimit = format!("ulimit -v {}", mebibytes * 1024);
        let arguments = "-f lines --format json --threads 2 --batch-tokens 4096 --max-length 9";
        let (code, _, stderr) = limited(&place, &ulimit, arguments);
        match code {
            0 => done += 1,
            8 => {
                refused += 1;
                let lines: Vec<_> = stderr.lines().collect();
                assert!(
                    lines[0].starts_with("error: could not "),
                    "{mebibytes} MiB: {stderr}"
                );
                assert!(!stderr.contains("os error"), "{mebibytes} MiB: {stderr}");
                assert!(lines.len() <= 2, "{mebibytes} MiB: {stderr}");
            }
            other => panic!("{mebibytes} MiB end with {other}: {stderr}"),
        }
    }
    assert!(
        done > 3 && refused > 3,
        "{done} runs had enough memory, {refused} had not"
    );
}

#[test]
fn threads_that_cannot_start_are_a_device_error() {
    let place = Place::new();
    // The stack of each thread, more than any machine has.
    let mut command = bert_embed(place.path());
    command.args(["--offline", "-m", "model", "--threads", "2", "a"]);
    let (code, stdout, stderr) = run(command.env("RUST_MIN_STACK", "70368744177664"));
    assert_eq!((code, stdout.as_str()), (8, ""), "{stderr}");
    assert!(
        stderr.starts_with("error: could not start 2 threads: "),
        "{stderr}"
    );
    assert!(stderr.contains("\n  tip: use fewer --threads"), "{stderr}");
}
