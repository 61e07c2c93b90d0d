//! Files, links, pipes and devices: the output is whole, or what was there is untouched.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

use super::interrupted::Waiting;
use super::{Place, as_lines};

const FIELDS: [&str; 2] = ["--fields", "index,input_ids"];
const RECORD: &str = "{\"index\":0,\"input_ids\":[2,56,3],\"dropped_tokens\":0}\n";

/// Three thousand texts: 12 MB of records.
fn long_input() -> String {
    as_lines((0..3000).map(|number| format!("she is {number}")))
}

/// Runs `script` in a shell, with the program's path in `$0`.
pub(super) fn shell(place: &Place, script: &str) -> (i32, String, String) {
    let program = place.command(&[]);
    let mut command = Command::new("bash");
    command
        .arg("-c")
        .arg(script)
        .arg(env!("CARGO_BIN_EXE_bert-embed"));
    command
        .args(program.get_args())
        .current_dir(place.path())
        .stdin(Stdio::null());
    command
        .envs([("HF_HUB_OFFLINE", "1")])
        .env("HOME", place.path());
    crate::support::command::run(&mut command)
}

#[test]
fn a_file_is_written_whole_and_its_ending_gives_the_form() {
    let place = Place::new();
    let run = |output: &str| place.run(&[FIELDS[0], FIELDS[1], "-o", output, "she"]);
    assert_eq!(run("out"), (0, String::new(), String::new()));
    assert_eq!(place.read("out"), RECORD);
    assert_eq!(run("out.json").0, 0);
    assert!(place.read("out.json").starts_with("{\"model\":"));
    assert_eq!(place.names(), ["out", "out.json"]);
}

#[test]
fn a_link_keeps_pointing_and_its_target_is_replaced() {
    let place = Place::new();
    place.write("target", "old");
    symlink("target", place.path().join("link")).expect("a link");
    symlink("one", place.path().join("two")).expect("a link");
    symlink("two", place.path().join("one")).expect("a link");
    assert_eq!(place.run(&[FIELDS[0], FIELDS[1], "-o", "link", "she"]).0, 0);
    assert_eq!(place.read("target"), RECORD);
    assert!(place.path().join("link").is_symlink());
    place.assert_refused(
        &["-o", "one", "she"],
        7,
        "error: could not write `one`: too many links\n",
    );
}

#[test]
fn a_new_file_obeys_the_umask_and_an_old_one_keeps_its_mode() {
    let place = Place::new();
    let mode = |name: &str| {
        fs::metadata(place.path().join(name))
            .expect("a file")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(shell(&place, "umask 077; \"$0\" \"$@\" -o out she").0, 0);
    assert_eq!(mode("out"), 0o600);
    assert_eq!(shell(&place, "umask 022; \"$0\" \"$@\" -o shared she").0, 0);
    assert_eq!(mode("shared"), 0o644);
    fs::set_permissions(
        place.path().join("shared"),
        fs::Permissions::from_mode(0o640),
    )
    .expect("set");
    assert_eq!(shell(&place, "umask 022; \"$0\" \"$@\" -o shared she").0, 0);
    assert_eq!(mode("shared"), 0o640);
}

#[test]
fn streams_are_written_as_they_are() {
    let place = Place::new();
    for output in ["/dev/stdout", "-", "/dev/fd/1"] {
        assert_eq!(
            place.run(&[FIELDS[0], FIELDS[1], "-o", output, "she"]),
            (0, RECORD.to_owned(), String::new())
        );
    }
    let fifo = place.path().join("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo");
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| fs::read_to_string(&fifo).expect("read"));
        assert_eq!(place.run(&[FIELDS[0], FIELDS[1], "-o", "fifo", "she"]).0, 0);
        assert_eq!(reader.join().expect("the reader"), RECORD);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_device_is_an_output_error() {
    let place = Place::new();
    place.assert_refused(
        &["-o", "/dev/full", "she"],
        7,
        "error: could not write `/dev/full`: no space left on device\n",
    );
    let (code, _, stderr) = shell(&place, "\"$0\" \"$@\" she > /dev/full");
    assert_eq!(
        (code, stderr.as_str()),
        (
            7,
            "error: could not write standard output: no space left on device\n"
        )
    );
}

#[test]
fn at_a_file_size_limit_the_old_file_stays_and_nothing_else_is_left() {
    let place = Place::new();
    place.write("out", "old");
    place.write("in", long_input());
    // 20 blocks: 20 KiB, or 10 where a block has 512 bytes.
    let (code, _, stderr) = shell(&place, "ulimit -f 20; \"$0\" \"$@\" -f in -o out");
    assert_eq!(code, 7, "{stderr}");
    assert_eq!(stderr, "error: could not write `out`: file too large\n");
    assert_eq!(place.read("out"), "old");
    assert_eq!(place.names(), ["in", "out"]);
}

#[test]
fn a_killed_run_leaves_the_old_file() {
    let place = Place::new();
    place.write("out", "old");
    let run = Waiting::start(&mut place.command(&["-o", "out"]), b"she\n");
    run.until_kept(&place, 1).signal("KILL").end();
    assert_eq!(place.read("out"), "old");
    // Nobody can tidy up after SIGKILL: the finished records and how far they go remain.
    assert_eq!(place.names(), ["out", "out.partial", "out.resume"]);
}

#[test]
fn a_closed_pipe_ends_the_run_quietly() {
    let place = Place::new();
    place.write("in", long_input());
    let script = "\"$0\" \"$@\" -f in | head -1; echo \"${PIPESTATUS[0]}\"";
    let (code, stdout, stderr) = shell(&place, script);
    let lines: Vec<_> = stdout.lines().collect();
    assert_eq!(
        (code, stderr.as_str(), lines.len(), lines[1]),
        (0, "", 2, "0")
    );
    assert!(lines[0].starts_with("{\"index\":0,") && lines[0].ends_with('}'));
}

#[test]
fn the_locale_changes_nothing() {
    let place = Place::new();
    let text = "é中 I İ";
    let (_, expected, _) = place.run(&[text]);
    for locale in ["C", "POSIX", "tr_TR.UTF-8", "no such locale"] {
        let mut command = place.command(&[text]);
        let output =
            crate::support::command::run(command.env("LANG", locale).env("LC_ALL", locale));
        assert_eq!(output, (0, expected.clone(), String::new()), "{locale}");
    }
}
