//! The files beside FILE: what is planted, changed or replaced there is refused by name, and
//! nothing of somebody else is touched.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::process::Command;

use super::interrupted::Waiting;
use super::resume::{kill_after, lines, place, with};
use super::{Place, json_lines};
use crate::support::random::Random;

/// Edits of each file.
const EDITS: usize = 500;

/// Puts something under a name.
type Plant = fn(&Place, &str);

fn fifo(place: &Place, name: &str) {
    let made = Command::new("mkfifo").arg(place.path().join(name)).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo");
}

#[test]
fn what_is_planted_under_the_names_is_refused_and_stays() {
    let plants: [(&str, Plant); 5] = [
        ("it is a link", |place, name| {
            symlink("victim", place.path().join(name)).expect("a link");
        }),
        ("it is a link", |place, name| {
            symlink("/dev/zero", place.path().join(name)).expect("a link");
        }),
        ("it is not a regular file", fifo),
        ("is a directory", |place, name| {
            fs::create_dir(place.path().join(name)).expect("a directory");
        }),
        ("the file has another name too", |place, name| {
            fs::hard_link(place.path().join("victim"), place.path().join(name)).expect("a link");
        }),
    ];
    for ending in ["partial", "resume", "assembled"] {
        for (words, plant) in plants {
            for more in [&[][..], &["--resume"]] {
                let place = Place::new();
                place.write("victim", "precious");
                let name = format!("out.npy.{ending}");
                plant(&place, &name);
                let before = place.names();
                let command = ["--fields", "pooler_output", "-o", "out.npy", "she"];
                let (code, _, stderr) = place.run(&[&command, more].concat());
                assert_eq!(code, 7, "{name}, {words}: {stderr}");
                assert!(stderr.contains(&format!("`{name}`")), "{stderr}");
                let is_assembled = ending == "assembled";
                assert!(stderr.contains(words) || is_assembled, "{words}: {stderr}");
                assert_eq!(place.read("victim"), "precious");
                assert_eq!(place.names(), before);
            }
        }
    }
}

#[test]
fn a_line_without_end_is_not_read_whole() {
    let place = place();
    kill_after(&place, 10);
    let state = File::options()
        .append(true)
        .open(place.path().join("out.resume"));
    let state = state.expect("there");
    state.set_len(3 << 30).expect("a file with a hole");
    let limited = "ulimit -v 4000000; \"$0\" \"$@\" -o out --resume she";
    let (code, _, stderr) = super::output::shell(&place, limited);
    assert_eq!(code, 7, "{stderr}");
    assert!(
        stderr.contains("`out.resume`: it is damaged: line "),
        "{stderr}"
    );
}

/// One byte changed, added, removed or doubled, or the end cut off.
fn edit(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len());
    match random.below(6) {
        0 => bytes.truncate(at),
        1 => drop(bytes.remove(at)),
        2 => bytes.insert(at, random.below(256) as u8),
        3 => bytes.extend_from_within(at..),
        // As somebody would change a count.
        4 if bytes[at].is_ascii_digit() => bytes[at] = b'0' + (bytes[at] - b'0' + 1) % 10,
        _ => bytes[at] ^= 1 + random.below(255) as u8,
    }
}

/// Edits the file `name` of an interrupted run; `--resume` refuses it, or makes the same bytes.
fn edits(name: &str, seed: u64) {
    let place = Place::new();
    let input: Vec<u8> = lines()[..12].concat();
    let options = with(&["-q", "--threads", "1", "-o", "out"]);
    assert_eq!(place.run_with_input(&options, &input).0, 9);
    let whole = place.read("out");
    let waiting = Waiting::start(&mut place.command(&options), &lines()[..4].concat());
    let waiting = waiting.until_kept(&place, 4);
    let (code, ..) = waiting.signal("KILL").end();
    assert_eq!(code, 137);
    let names = ["out.partial", "out.resume"];
    let left = names.map(|name| fs::read(place.path().join(name)).expect("left"));
    let resume = [&options[..], &["--resume"]].concat();
    let (mut random, mut refused) = (Random(seed), 0);
    for _ in 0..EDITS {
        for (name, bytes) in names.iter().zip(&left) {
            place.write(name, bytes);
        }
        place.write("out", "old");
        let mut bytes = fs::read(place.path().join(name)).expect("there");
        edit(&mut bytes, &mut random);
        place.write(name, &bytes);
        let (code, stdout, stderr) = place.run_with_input(&resume, &input);
        let what = format!("{stderr}{}", String::from_utf8_lossy(&bytes));
        assert_eq!(stdout, "");
        if code == 9 {
            assert!(place.read("out") == whole, "{what}");
            assert_eq!(place.names(), ["out"], "{what}");
            continue;
        }
        refused += 1;
        assert_eq!(code, 7, "{what}");
        assert!(stderr.starts_with("error: could not "), "{what}");
        assert!(
            stderr.contains("\n  tip: ") || stderr.contains("written by this"),
            "{what}"
        );
        assert_eq!(place.read("out"), "old", "{what}");
        assert!(
            fs::read(place.path().join(name)).expect("there") == bytes,
            "{what}"
        );
    }
    eprintln!("{name}: {refused} of {EDITS} edits were refused, the others made no difference");
    assert!(refused > EDITS / 3);
}

#[test]
fn no_edit_of_the_state_makes_another_file() {
    edits("out.resume", 21);
}

#[test]
fn no_edit_of_the_records_makes_another_file() {
    edits("out.partial", 22);
}

#[test]
fn damage_is_told_with_a_way_out() {
    let place = place();
    kill_after(&place, 10);
    let partial = place.read("out.partial");
    place.write("out.partial", partial.replacen("she", "SHE", 1));
    let resume = with(&["-o", "out", "--resume"]);
    let tip = "  tip: remove `out.partial` and `out.resume` to start over\n";
    let words = "error: could not resume `out`: `out.partial` is damaged: its bytes are not what was written\n";
    let (code, _, stderr) = place.run_with_input(&resume, &lines().concat());
    assert_eq!((code, stderr), (7, format!("{words}{tip}")));
    place.write("out.partial", partial);
    let state = place.read("out.resume");
    place.write(
        "out.resume",
        state.replacen("\"records\":10", "\"records\":0", 1),
    );
    let words = "error: could not write `out`: could not use `out.resume`: it is damaged: line ";
    let (code, _, stderr) = place.run_with_input(&resume, &lines().concat());
    assert_eq!(code, 7, "{stderr}");
    assert!(
        stderr.starts_with(words) && stderr.ends_with(tip),
        "{stderr}"
    );
}

#[test]
fn a_partial_file_that_was_replaced_does_not_become_the_output() {
    let place = place();
    place.write("out", "old");
    let run = Waiting::start(
        &mut place.command(&with(&["-o", "out"])),
        &lines()[..10].concat(),
    );
    let run = run.until_kept(&place, 10);
    let partial = place.path().join("out.partial");
    fs::rename(&partial, place.path().join("moved")).expect("moved");
    fs::write(&partial, "another").expect("written");
    let (code, _, stderr) = run.finish(&lines()[10..].concat());
    let words = "error: could not write `out`: `out.partial` was replaced or removed while this run wrote it\n  tip: remove `out.partial` and `out.resume` to start over\n";
    assert_eq!((code, stderr.as_str()), (7, words));
    assert_eq!(
        (place.read("out"), place.read("out.partial")),
        ("old".into(), "another".into())
    );
}

#[test]
fn a_partial_file_that_another_process_writes_to_does_not_become_the_output() {
    let place = place();
    let run = Waiting::start(
        &mut place.command(&with(&["-o", "out"])),
        &lines()[..10].concat(),
    );
    let run = run.until_kept(&place, 10);
    let partial = File::options()
        .append(true)
        .open(place.path().join("out.partial"));
    partial
        .expect("there")
        .write_all(&vec![b'x'; 1 << 20])
        .expect("written");
    let (code, _, stderr) = run.finish(&lines()[10..].concat());
    assert_eq!(code, 7, "{stderr}");
    let words =
        "error: could not write `out`: `out.partial` was changed while this run wrote it: it has ";
    assert!(stderr.starts_with(words), "{stderr}");
    assert!(!place.names().contains(&"out".to_owned()));
}

#[test]
fn the_longest_names_work_and_can_be_resumed() {
    for bytes in [245, 246, 250, 255] {
        let place = Place::new();
        let output = "é".repeat(bytes / 2) + &"x".repeat(bytes % 2);
        let options = ["--fields", "index,text", "-o", &output];
        let mut run = Waiting::start(&mut place.command(&options), b"she\n");
        // Both are there before the first record is.
        while place.names().len() < 2 {
            assert!(run.child().try_wait().expect("a child").is_none());
        }
        run.signal("KILL").end();
        let names = place.names();
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(
            names[0].ends_with(".partial") && names[1].ends_with(".resume"),
            "{names:?}"
        );
        let resume = [&options[..], &["--resume", "-q", "she"]].concat();
        assert_eq!(place.run(&resume), (0, String::new(), String::new()));
        assert_eq!(json_lines(&place.read(&output)).len(), 1);
        assert_eq!(place.names(), [output]);
    }
    let place = Place::empty();
    let output = "x".repeat(256);
    let words = format!("error: could not write `{output}`: file name too long\n");
    place.assert_refused(&["-o", &output, "she"], 7, &words);
}
