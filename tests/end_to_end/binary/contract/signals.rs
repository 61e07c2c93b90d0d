//! SIGINT and SIGTERM: what is finished is delivered, and the exit code tells the signal.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{ChildStdout, Command};

use super::interrupted::Waiting;
use super::{Place, as_lines, json_lines};

const FIELDS: [&str; 2] = ["--fields", "index,text"];

fn with<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&FIELDS, arguments].concat()
}

/// The first line that `run` prints; it has read its input by then.
fn first_line(run: &mut Waiting) -> (String, BufReader<ChildStdout>) {
    let stdout = run.child().stdout.take().expect("standard output is piped");
    let mut reader = BufReader::new(stdout);
    let mut line = String::new();
    reader.read_line(&mut line).expect("a record");
    (line, reader)
}

#[test]
fn a_file_keeps_the_finished_records_and_a_tip_says_how_to_go_on() {
    let place = Place::new();
    for (signal, expected) in [("INT", 130), ("TERM", 143)] {
        place.write("out", "old");
        let run = Waiting::start(&mut place.command(&with(&["-o", "out"])), b"she\nis\n");
        let (code, stdout, stderr) = run.until_kept(&place, 2).signal(signal).end();
        assert_eq!((code, stdout.as_str()), (expected, ""));
        let program = env!("CARGO_BIN_EXE_bert-embed");
        let tip = format!(
            "stopped by SIG{signal}: 2 records written\n  tip: continue with: {program} --resume --offline -m model --fields index,text -o out\n"
        );
        assert_eq!(stderr, tip);
        assert_eq!(place.read("out"), "old");
        assert_eq!(place.names(), ["out", "out.partial", "out.resume"]);
        let (code, _, stderr) =
            place.run_with_input(&with(&["-o", "out", "--resume"]), b"she\nis\nthe");
        assert_eq!((code, stderr.as_str()), (0, ""));
        assert_eq!(json_lines(&place.read("out")).len(), 3);
        assert_eq!(place.names(), ["out"]);
    }
}

#[test]
fn without_a_finished_record_nothing_is_kept() {
    let place = Place::new();
    let mut command = place.command(&with(&["--padding", "longest", "-o", "out"]));
    let mut run = Waiting::start(&mut command, b"she\n");
    // Line 1 is written when the model is about to be loaded; the signal may come before its
    // handler.
    while fs::metadata(place.path().join("out.resume")).map_or(0, |state| state.len()) == 0 {
        assert!(run.child().try_wait().expect("a child").is_none());
    }
    let (code, stdout, stderr) = run.signal("TERM").end();
    assert_eq!((code, stdout.as_str()), (143, ""));
    assert!(["", "stopped by SIGTERM: 0 records written\n"].contains(&stderr.as_str()));
    assert!(!place.names().contains(&"out".to_owned()));
    assert_eq!(place.run(&with(&["-o", "out", "she"])).0, 0);
    assert_eq!(place.names(), ["out"]);
}

#[test]
fn a_stream_gets_the_finished_records() {
    let place = Place::new();
    for (signal, expected) in [("INT", 130), ("TERM", 143)] {
        let mut run = Waiting::start(&mut place.command(&FIELDS), b"she\n");
        let (line, mut rest) = first_line(&mut run);
        assert_eq!(json_lines(&line).len(), 1);
        let stopped = format!("stopped by SIG{signal}: 1 record written\n");
        assert_eq!(run.signal(signal).end(), (expected, String::new(), stopped));
        let mut left = String::new();
        rest.read_to_string(&mut left).expect("read");
        assert_eq!(left, "");
    }
}

#[test]
fn a_run_that_waits_for_a_fifo_ends_too() {
    let place = Place::new();
    let fifo = place.path().join("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo");
    let mut run = Waiting::start(&mut place.command(&with(&["-f", "fifo"])), b"");
    let mut writer = fs::File::options().write(true).open(&fifo).expect("opened");
    std::io::Write::write_all(&mut writer, b"she\n").expect("written");
    let _rest = first_line(&mut run);
    let stopped = "stopped by SIGINT: 1 record written\n".to_owned();
    assert_eq!(run.signal("INT").end(), (130, String::new(), stopped));
}

#[test]
fn in_the_middle_of_a_long_input_only_whole_records_come() {
    let place = Place::new();
    place.write(
        "in",
        as_lines((0..5000).map(|number| format!("she is {number}"))),
    );
    let mut run = Waiting::start(
        &mut place.command(&with(&["-f", "in", "--batch-tokens", "64"])),
        b"",
    );
    let (_, mut rest) = first_line(&mut run);
    let run = run.signal("INT");
    let mut left = String::new();
    rest.read_to_string(&mut left).expect("read");
    let records = json_lines(&left);
    for (place, record) in records.iter().enumerate() {
        assert_eq!(record["index"], place + 1);
    }
    let (code, _, stderr) = run.end();
    let written = 1 + records.len();
    match code {
        130 => assert_eq!(
            stderr,
            format!("stopped by SIGINT: {written} records written\n")
        ),
        _ => assert_eq!((code, stderr.as_str(), written), (0, "", 5000)),
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    let place = Place::new();
    // More than a pipe holds, and nobody reads on.
    place.write(
        "in",
        as_lines((0..3000).map(|number| format!("she is {number}"))),
    );
    let mut run = Waiting::start(&mut place.command(&["-f", "in"]), b"");
    let (_, rest) = first_line(&mut run);
    // Two of one kind might be delivered as one.
    let (code, _, stderr) = run.signal("INT").signal("TERM").end();
    assert!(code == 130 || code == 143, "{code}");
    assert_eq!(stderr, "");
    drop(rest);
}

#[test]
fn a_document_is_not_printed_by_half() {
    let place = Place::new();
    let mut command = place.command(&["--format", "json", "-o", "out.json"]);
    let mut run = Waiting::start(&mut command, b"she\n");
    while place.names().is_empty() {
        assert!(run.child().try_wait().expect("a child").is_none());
    }
    let (code, stdout, stderr) = run.signal("TERM").end();
    assert_eq!((code, stdout.as_str()), (143, ""));
    assert!(["", "stopped by SIGTERM: 0 records written\n"].contains(&stderr.as_str()));
    assert!(!place.names().contains(&"out.json".to_owned()));
}

#[test]
fn a_signal_that_the_parent_ignores_stays_ignored() {
    let place = Place::new();
    let program = place.command(&FIELDS);
    let mut command = Command::new("bash");
    command.args(["-c", "trap '' INT; exec \"$0\" \"$@\""]);
    command.arg(program.get_program()).args(program.get_args());
    command.current_dir(place.path());
    let mut run = Waiting::start(&mut command, b"she\n");
    let _rest = first_line(&mut run);
    let (code, _, stderr) = run.signal("INT").finish(b"is\n");
    assert_eq!((code, stderr.as_str()), (0, ""));
}

#[cfg(target_os = "linux")]
#[test]
fn a_terminal_shows_how_far_it_is() {
    let place = Place::new();
    place.write(
        "in",
        as_lines((0..50).map(|number| format!("she is {number}"))),
    );
    let program = env!("CARGO_BIN_EXE_bert-embed");
    let run = |options: &str| {
        let line = format!("'{program}' --offline -m model -f in -o out {options}");
        let output = Command::new("script")
            .args(["-qec", &line, "typescript"])
            .current_dir(place.path())
            .stdin(std::process::Stdio::null())
            .output();
        let output = output.expect("`script` of bsdutils gives a terminal");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let shown = run("");
    assert!(
        shown.contains(" records, ") && shown.contains(" tokens/s "),
        "{shown:?}"
    );
    assert_eq!(run("-q"), "");
}

#[test]
fn a_fifo_is_refused_before_it_waits_if_the_format_needs_a_file() {
    let place = Place::new();
    let made = Command::new("mkfifo")
        .arg(place.path().join("fifo"))
        .status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo");
    place.assert_refused(
        &["--pooling", "mean", "--format", "npy", "-o", "fifo", "a"],
        2,
        "error: --format npy needs a file: `fifo` is a stream\n  tip: -o vectors.npy\n",
    );
}

#[test]
fn the_tip_of_a_stopped_run_can_be_pasted_for_every_name() {
    let place = Place::new();
    for name in ["it's", "two\nlines", "back\\slash\t"] {
        let command = &mut place.command(&with(&["-o", "out", "--prompt"]));
        let run = Waiting::start(command.arg(format!("{name} ")), b"she\n");
        let (_, _, stderr) = run.until_kept(&place, 1).signal("INT").end();
        let (_, tip) = stderr.split_once("continue with: ").expect("a tip");
        let mut shell = Command::new("bash");
        shell
            .arg("-c")
            .arg(format!("echo she | {}", tip.trim_end()));
        shell.current_dir(place.path());
        let output = shell.output().expect("bash");
        assert!(output.status.success(), "{name:?}: {output:?}");
        assert_eq!(place.names(), ["out"]);
    }
}
