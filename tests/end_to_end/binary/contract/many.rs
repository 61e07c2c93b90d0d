//! A hundred thousand lines: each has the record of a run of its own, in the memory of a thousand.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use super::Place;
use crate::support::random::Random;

const LINES: usize = 100_000;

/// Lines of a run that has already filled its queues.
const FEW_LINES: usize = 1000;

/// Peak memory of many lines by that of a few.
const MEMORY_LIMIT: f64 = 1.2;

/// Batches of some thirty lines, so that a few lines are many batches, too.
const OPTIONS: [&str; 5] = [
    "-q",
    "--batch-tokens",
    "256",
    "--fields",
    "index,tokens,last_hidden_state,pooler_output",
];

/// A line that is not a text.
const BAD: &[u8] = b"no \xff UTF-8";

/// Different lines: awkward ones, and many more from 0 words to more than the 131 tokens that fit.
fn different_lines() -> Vec<Vec<u8>> {
    let awkward = [
        " \t ",
        "a\0b",
        "\u{feff}she",
        "she\u{2028}is",
        "\u{1}\u{2}\u{200b}",
        "she\r is",
        "\"quoted\" \\ {\"text\":1}",
        "[CLS] [MASK] [PAD] [UNK]",
        "\u{1f468}\u{200d}\u{1f469}\u{1f466}\u{fe0f}",
    ];
    let mut lines: Vec<_> = awkward.map(|line| line.as_bytes().to_vec()).into();
    lines.push("\u{4e2d}".repeat(30).into_bytes());
    lines.push("x".repeat(10_000).into_bytes());
    lines.push(BAD.to_vec());
    let mut random = Random(4);
    // Most are short, as most lines are.
    let lengths = (0..80).map(|number| number % 8);
    lines.extend(
        lengths
            .chain([30, 129, 400])
            .map(|words| random.text(words).into_bytes()),
    );
    lines
}

/// What follows the index in the record of `line` alone.
fn record_of(place: &Place, line: &[u8]) -> String {
    let (code, stdout, stderr) = place.run_with_input(&OPTIONS, &[line, b"\n"].concat());
    assert_eq!((code, stderr.as_str()), (0, ""));
    let rest = stdout.strip_prefix("{\"index\":0,").expect("a record");
    assert_eq!(rest.matches('\n').count(), 1, "one record");
    rest.to_owned()
}

/// The record of the bad line at `place`.
fn error_at(place: usize) -> String {
    let line = place + 1;
    format!(
        "\"error\":{{\"kind\":\"input\",\"message\":\"could not read line {line} of `standard input`: it is not UTF-8 at byte 4\",\"line\":{line}}}}}\n"
    )
}

/// Gives the program `lines`, hands its records to `check` one by one, and tells the most memory
/// that it has taken by then; `None` where the system does not tell.
fn peak_kib(place: &Place, lines: &[&[u8]], mut check: impl FnMut(usize, &str)) -> Option<u64> {
    let mut child = place
        .command(&OPTIONS)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = child.stdin.take().expect("standard input is piped");
    let mut records = BufReader::new(child.stdout.take().expect("standard output is piped"));
    let peak = std::thread::scope(|scope| {
        let feeding = scope.spawn(|| {
            for line in lines {
                let line = [line, &b"\n"[..]].concat();
                stdin.write_all(&line).expect("written");
            }
        });
        let mut record = String::new();
        for number in 0..lines.len() {
            record.clear();
            records.read_line(&mut record).expect("read");
            check(number, &record);
        }
        feeding.join().expect("all is written");
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
        let status = status.unwrap_or_default();
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        peak.trim().strip_suffix(" kB")?.parse().ok()
    });
    drop(stdin);
    let mut rest = String::new();
    assert_eq!(records.read_line(&mut rest).expect("read"), 0, "{rest}");
    assert_eq!(child.wait().expect("it ends").code(), Some(9));
    peak
}

#[test]
fn a_hundred_thousand_lines_are_single_runs_in_the_memory_of_a_thousand() {
    let place = Place::new();
    let different = different_lines();
    let records: Vec<_> = different
        .iter()
        .map(|line| (line != BAD).then(|| record_of(&place, line)))
        .collect();
    let mut random = Random(100);
    let order: Vec<_> = (0..LINES).map(|_| random.below(different.len())).collect();
    let lines: Vec<_> = order.iter().map(|&number| &different[number][..]).collect();
    let check = |number: usize, record: &str| {
        let rest = record.strip_prefix(&format!("{{\"index\":{number},"));
        let expected = records[order[number]].clone();
        let expected = expected.unwrap_or_else(|| error_at(number));
        let line = String::from_utf8_lossy(lines[number]);
        assert!(
            rest == Some(&*expected),
            "{number}, {line:.100}: {record:.300}"
        );
    };
    let few = peak_kib(&place, &lines[..FEW_LINES], check);
    let many = peak_kib(&place, &lines, check);
    let peak = "the system tells a process's peak memory";
    let (few, many) = (few.expect(peak), many.expect(peak));
    eprintln!("peak memory: {few} KiB for {FEW_LINES} lines, {many} KiB for {LINES}");
    let ratio = many as f64 / few as f64;
    assert!(
        ratio <= MEMORY_LIMIT,
        "{many} KiB is {ratio:.2} times {few}"
    );
}
