//! Limits of the system: memory that cannot be had and threads that cannot start are errors of the
//! device, never a panic or an abort.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
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

/// The program with at most `limit` processes and threads of its user, who is not root: root may
/// start as many as there are.
#[cfg(target_os = "linux")]
fn with_processes(place: &Place, limit: u64, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(place.path().join("program"));
    command.args(["--offline", "-m", "model"]).args(arguments);
    command.current_dir(place.path()).env_clear();
    if is_root() {
        // Nobody else has this number, so that only these processes count.
        let user = 50_000 + std::process::id() % 10_000;
        command.uid(user).gid(user);
    }
    // SAFETY: between fork and exec it makes a system call that a signal's handler may make too.
    unsafe {
        command.pre_exec(move || {
            let limit = libc::rlimit {
                rlim_cur: limit,
                rlim_max: limit,
            };
            match libc::setrlimit(libc::RLIMIT_NPROC, &raw const limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    run(&mut command)
}

#[cfg(target_os = "linux")]
fn is_root() -> bool {
    // SAFETY: the call has no argument and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

#[cfg(target_os = "linux")]
#[test]
fn a_limit_of_processes_is_a_device_error_wherever_it_is_met() {
    let place = Place::new();
    let program = place.path().join("program");
    fs::copy(env!("CARGO_BIN_EXE_bert-embed"), &program).expect("copied");
    for path in [program.as_path(), place.path()] {
        fs::set_permissions(path, Permissions::from_mode(0o755)).expect("permissions");
    }
    let arguments: [&[&str]; 3] = [
        &["she"],
        &["--threads", "1", "she"],
        &["--threads", "3", "she"],
    ];
    let (mut done, mut refused) = (0, 0);
    for arguments in arguments {
        for limit in 1..=12 {
            let (code, stdout, stderr) = with_processes(&place, limit, arguments);
            let what = format!("{arguments:?}, {limit} processes: {code} {stderr}");
            match code {
                0 => done += 1,
                8 => {
                    refused += 1;
                    assert!(stderr.starts_with("error: could not start "), "{what}");
                    assert!(!stderr.contains("os error"), "{what}");
                    assert!(stderr.lines().count() <= 2 && stdout.is_empty(), "{what}");
                }
                _ => panic!("{what}"),
            }
        }
    }
    eprintln!("{done} runs had enough processes, {refused} had not");
    // Without root, whatever else the user runs counts too.
    assert!(refused > 6 && (done > 6 || !is_root()), "{done} {refused}");
}
