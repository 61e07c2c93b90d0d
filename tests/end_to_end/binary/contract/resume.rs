//! `--resume`: whatever ended a run, the finished file is that of a run that was never interrupted.

use std::fs::{self, File};
use std::io::Write;

use super::interrupted::{Waiting, kept};
use super::output::shell;
use super::{Place, json_lines};

/// Small records, small batches and texts of at most 20 tokens.
pub(super) const OPTIONS: [&str; 6] = [
    "--fields",
    "index,text,pooler_output",
    "--batch-tokens",
    "64",
    "--max-length",
    "20",
];

const TEXTS: usize = 300;

/// Lines of mixed length: blank ones, ones that are cut, ones that are no text.
pub(super) fn lines() -> Vec<Vec<u8>> {
    let line = |number: usize| match number % 10 {
        3 => b"\n".to_vec(),
        5 => b"not \xff UTF-8\n".to_vec(),
        _ => format!("she is {number}{}\n", " the winter".repeat(number % 17)).into_bytes(),
    };
    (0..TEXTS).map(line).collect()
}

pub(super) fn with<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&OPTIONS, arguments].concat()
}

/// A place with the texts in `in` and the records of an uninterrupted run in `whole`.
pub(super) fn place() -> Place {
    let place = Place::new();
    place.write("in", lines().concat());
    let (code, _, stderr) = place.run_with_input(&with(&["-o", "whole"]), &lines().concat());
    assert_eq!(code, 9, "{stderr}");
    place
}

/// Leaves the first `count` records of a run on standard input that was killed.
pub(super) fn kill_after(place: &Place, count: usize) {
    let first = lines()[..count].concat();
    let (code, ..) = Waiting::start(&mut place.command(&with(&["-o", "out"])), &first)
        .until_kept(place, count as u64)
        .signal("KILL")
        .end();
    assert_eq!(code, 137);
}

/// Goes on with the whole input, and compares.
#[track_caller]
pub(super) fn assert_resumes(place: &Place) {
    let (code, stdout, stderr) =
        place.run_with_input(&with(&["-o", "out", "--resume"]), &lines().concat());
    assert_eq!((code, stdout.as_str()), (9, ""), "{stderr}");
    // Records that were written before are counted too.
    assert!(
        stderr.starts_with("warning: texts longer than 20 tokens: "),
        "{stderr}"
    );
    assert_whole(place);
}

#[track_caller]
pub(super) fn assert_whole(place: &Place) {
    assert!(place.read("out") == place.read("whole"), "the files differ");
    assert_eq!(place.names(), ["in", "out", "whole"]);
}

#[test]
fn a_killed_run_goes_on_where_it_stopped() {
    let place = place();
    for count in [1, 6, 77, TEXTS] {
        kill_after(&place, count);
        assert_eq!(place.names(), ["in", "out.partial", "out.resume", "whole"]);
        assert_eq!(json_lines(&place.read("out.partial")).len(), count);
        assert_resumes(&place);
        fs::remove_file(place.path().join("out")).expect("removed");
    }
}

#[test]
fn a_run_may_be_killed_at_any_moment_and_again() {
    let place = place();
    for moment in 1..=5 {
        let arguments = with(&["-f", "in", "-o", "out", "--resume", "-q"]);
        let mut run = Waiting::start(&mut place.command(&arguments), b"");
        while kept(&place) < moment * 50 && run.child().try_wait().expect("a child").is_none() {}
        if run.child().try_wait().expect("a child").is_none() {
            run.signal("KILL").end();
        }
    }
    let (code, ..) = place.run(&with(&["-f", "in", "-o", "out", "--resume", "-q"]));
    assert!(code == 9 || code == 0, "{code}");
    let whole = place.read("whole").replace("`standard input`", "`in`");
    assert!(place.read("out") == whole, "the files differ");
}

#[test]
fn what_is_torn_or_lost_is_made_again() {
    let place = place();
    let append = |name: &str, bytes: &[u8]| {
        let file = File::options().append(true).open(place.path().join(name));
        file.expect("there").write_all(bytes).expect("written");
    };
    kill_after(&place, 40);
    append("out.partial", b"{\"index\":40,\"text\":\"she");
    append("out.resume", b"{\"size_bytes\":123,\"ta");
    assert_resumes(&place);
    // The power failed: the last bytes have never reached the disk.
    for lost in [1, 2000, usize::MAX] {
        kill_after(&place, 40);
        let partial = place.path().join("out.partial");
        let length = fs::metadata(&partial).expect("there").len();
        let file = File::options().write(true).open(&partial).expect("there");
        file.set_len(length.saturating_sub(lost as u64))
            .expect("cut");
        let (code, ..) =
            place.run_with_input(&with(&["-o", "out", "--resume", "-q"]), &lines().concat());
        assert_eq!(code, 9);
        assert_whole(&place);
    }
}

#[test]
fn nothing_to_resume_is_no_error() {
    let place = Place::new();
    let resume = ["--fields", "index", "-o", "out", "--resume", "she"];
    let note = "note: nothing to resume: starting from the beginning\n";
    assert_eq!(place.run(&resume), (0, String::new(), note.to_owned()));
    let first = place.read("out");
    let note = "note: `out` is already complete: it is left unchanged\n";
    assert_eq!(place.run(&resume), (0, String::new(), note.to_owned()));
    assert_eq!(
        (place.read("out"), place.names()),
        (first, vec!["out".to_owned()])
    );
}

#[test]
fn a_run_that_was_killed_before_its_first_record_leaves_no_complete_file() {
    let place = Place::new();
    place.write("out", "old");
    place.write("out.resume", "");
    let note = "note: nothing to resume: starting from the beginning\n";
    let run = place.run(&["--fields", "index", "-o", "out", "--resume", "she"]);
    assert_eq!(run, (0, String::new(), note.to_owned()));
    assert_eq!(place.read("out"), "{\"index\":0,\"dropped_tokens\":0}\n");
}

#[test]
fn at_a_full_disk_the_finished_records_are_kept() {
    let place = place();
    place.write("out", "old");
    let options = OPTIONS.join(" ");
    let script = format!("ulimit -f 60; \"$0\" \"$@\" {options} -o out < in");
    let (code, _, stderr) = shell(&place, &script);
    let words = "error: could not write `out`: file too large\n  tip: the finished records are kept: continue with --resume\n";
    assert_eq!((code, stderr.as_str()), (7, words));
    assert_eq!(place.read("out"), "old");
    assert!(kept(&place) > 0);
    assert_resumes(&place);
}

#[test]
fn fail_fast_ends_at_the_first_bad_text_and_goes_on_when_it_is_mended() {
    let place = Place::new();
    place.write("in", b"she\nis\nb\xffd\nthe\n");
    let words =
        "error: could not embed text 2: could not read line 3 of `in`: it is not UTF-8 at byte 2\n";
    let arguments = ["--fields", "index,text", "--fail-fast", "-f", "in"];
    let (code, stdout, stderr) = place.run(&arguments);
    assert_eq!((code, stderr.as_str()), (3, words));
    assert_eq!(json_lines(&stdout).len(), 2);
    let to_file = [&arguments[..], &["-o", "out"]].concat();
    let (code, _, stderr) = place.run(&to_file);
    let tip = "  tip: the finished records are kept: continue with --resume\n";
    assert_eq!((code, stderr), (3, format!("{words}{tip}")));
    place.write("in", "she\nis\ngood\nthe\n");
    let resume = [&to_file[..], &["--resume"]].concat();
    assert_eq!(place.run(&resume), (0, String::new(), String::new()));
    assert_eq!(place.read("out"), place.run(&arguments).1);
}
