//! `.jsonl.gz` and `.jsonl.zst`: what is in them, by gzip itself and by the reference
//! implementation of Zstandard. Their resumption is in `killed.rs`.

use std::fs;
use std::process::Command;

use super::Place;

/// More texts than a member holds, so that there are several members.
const TEXTS: usize = 150;

fn place() -> Place {
    let place = Place::new();
    let lines = (0..TEXTS).map(|number| format!("she is {number} {}\n", "old ".repeat(number % 9)));
    place.write("in.txt", lines.collect::<String>());
    place
}

/// What `gzip` makes of the file.
#[track_caller]
fn gunzip(place: &Place, name: &str) -> Vec<u8> {
    let output = Command::new("gzip")
        .arg("-dc")
        .arg(place.path(name))
        .output();
    let output = output.expect("gzip is installed");
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

#[track_caller]
fn unzstd(place: &Place, name: &str) -> Vec<u8> {
    let file = fs::File::open(place.path(name)).expect("the output");
    zstd::decode_all(file).expect("a sound file")
}

#[test]
fn a_compressed_file_holds_the_same_lines() {
    let place = place();
    let lines = place.file("out.jsonl", &[]);
    let gzip = place.file("out.jsonl.gz", &[]);
    let zstd = place.file("out.jsonl.zst", &[]);
    assert_eq!(gunzip(&place, "out.jsonl.gz"), lines);
    assert_eq!(unzstd(&place, "out.jsonl.zst"), lines);
    assert!(gzip.len() < lines.len() / 2 && zstd.len() < lines.len() / 2);
}

#[test]
fn a_member_depends_on_its_records_and_not_on_the_batches() {
    let place = place();
    let whole = place.file("a.jsonl.gz", &["--batch-tokens", "3"]);
    assert_eq!(place.file("b.jsonl.gz", &["--batch-tokens", "9000"]), whole);
}

#[test]
fn no_text_is_a_sound_file_without_lines() {
    let place = Place::new();
    place.write("in.txt", "");
    place.file("out.jsonl.gz", &[]);
    place.file("out.jsonl.zst", &[]);
    assert_eq!(gunzip(&place, "out.jsonl.gz"), b"");
    assert_eq!(unzstd(&place, "out.jsonl.zst"), b"");
}

#[test]
fn a_format_that_is_named_takes_any_ending() {
    let place = place();
    let lines = place.file("out.jsonl", &[]);
    assert_eq!(place.file("out.csv", &["--format", "jsonl"]), lines);
    place.file("out.gz", &["--format", "jsonl"]);
    assert_eq!(gunzip(&place, "out.gz"), lines);
}
