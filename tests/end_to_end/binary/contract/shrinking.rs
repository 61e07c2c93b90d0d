//! An input that becomes shorter while it is read.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use super::{Place, json_lines};
use crate::support::command::parts;

const LINE_BYTES: usize = 1_000;
const LINES: usize = 20_000;

/// Nobody reads the records meanwhile, so the run cannot have read half of its input.
#[test]
fn an_input_that_shrinks_while_it_is_read_is_an_error_at_its_end() {
    let place = Place::new();
    let line = |number: usize| format!("{number:05} {}\n", "x".repeat(LINE_BYTES - 7));
    place.write("in", (0..LINES).map(line).collect::<String>());
    let child = place
        .command(&["-f", "in", "--fields", "index,text"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.expect("the binary starts");
    let mut stdout = BufReader::new(child.stdout.take().expect("standard output is piped"));
    let mut records = String::new();
    stdout.read_line(&mut records).expect("a record");
    let kept = LINES / 2;
    let file: File = OpenOptions::new()
        .write(true)
        .open(place.path().join("in"))
        .expect("there");
    // In the middle of a line, which is no text then.
    file.set_len((kept * LINE_BYTES + LINE_BYTES / 2) as u64)
        .expect("cut");
    stdout.read_to_string(&mut records).expect("records");
    let (code, _, stderr) = parts(&child.wait_with_output().expect("the binary ends"));
    let words = "error: could not read `in`: it became shorter while it was read\n";
    assert_eq!((code, stderr.as_str()), (3, words));
    let records = json_lines(&records);
    assert_eq!(records.len(), kept);
    for (number, record) in records.iter().enumerate() {
        assert_eq!(record["index"], number);
        assert_eq!(record["text"], line(number).trim_end());
    }
}
