//! Input that multiplies: rows of separators, long headers, damaged files; each stays within a limit.

use std::fs;
use std::process::Command;

use super::{Place, json_lines};
use crate::support::checkpoint::fixtures;
use crate::support::command::run;
use crate::support::random::Random;

/// Memory that a dry run may map: the program itself takes about a tenth of it.
const MEBIBYTES: usize = 1024;

/// A dry run in bounded memory.
fn dry_run(place: &Place, file: &str) -> (i32, String, String) {
    let program = env!("CARGO_BIN_EXE_bert-embed");
    let script = format!(
        "ulimit -v {} && exec '{program}' --offline -m model --threads 1 --dry-run -f {file}",
        MEBIBYTES * 1024
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script]).current_dir(place.path());
    run(&mut command)
}

#[test]
fn rows_of_separators_are_error_records() {
    let place = Place::new();
    for (file, separator) in [("in.csv", ","), ("in.tsv", "\t")] {
        let table = format!("text\nshe\n{}\nis\n", separator.repeat(100_000_000));
        place.write(file, table);
        let (code, stdout, stderr) = dry_run(&place, file);
        assert_eq!(code, 9, "{stdout} {stderr}");
        let words = format!(
            "warning: 1 of 3 texts would be errors, the first: text 1: \
             could not read line 3 of `{file}`: it has more than 65,536 cells\n"
        );
        assert_eq!(stderr, words);
    }
    let arguments = ["-q", "-f", "in.csv", "--fields", "text"];
    let (_, stdout, _) = place.run(&arguments);
    let records = json_lines(&stdout);
    assert_eq!(
        (&records[0]["text"], &records[2]["text"]),
        (&"she".into(), &"is".into())
    );
}

#[test]
fn a_header_over_the_limit_is_refused() {
    let place = Place::new();
    place.write(
        "cells.csv",
        format!("text{}\nshe\n", ",".repeat(100_000_000)),
    );
    place.write(
        "bytes.csv",
        format!("text,{}\nshe\n", "a".repeat(2_000_000)),
    );
    for (file, cause) in [
        ("cells.csv", "it has more than 65,536 cells"),
        ("bytes.csv", "its header is longer than 1 MiB"),
    ] {
        let (code, _, stderr) = dry_run(&place, file);
        let words = format!("error: could not read `{file}`: {cause}\n");
        assert_eq!((code, stderr), (3, words));
    }
}

/// Changes up to four bytes of `whole`, or cuts it.
fn damaged(whole: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    if random.below(5) == 0 {
        bytes.truncate(random.below(whole.len()));
        return bytes;
    }
    for _ in 0..=random.below(4) {
        let place = random.below(whole.len());
        bytes[place] = random.below(256) as u8;
    }
    bytes
}

#[test]
fn a_damaged_file_is_an_answer_or_an_error_of_the_input() {
    let place = Place::new();
    let csv = "id,text,more\n1,\"she \"\"is\"\"\",x\n2,the,\"a\nb\"\n"
        .repeat(4)
        .into_bytes();
    let fixture = |name: &str| fs::read(fixtures().join("tables").join(name)).expect("a fixture");
    let files = [
        ("in.csv", csv),
        ("in.gz", fixture("lines.txt.gz")),
        ("in.zst", fixture("lines.txt.zst")),
        ("none.parquet", fixture("none.parquet")),
        ("zstd.parquet", fixture("zstd.parquet")),
    ];
    for (seed, (file, whole)) in (1..).zip(files) {
        if file.ends_with("parquet") && !cfg!(feature = "parquet") {
            continue;
        }
        let mut random = Random(seed);
        for trial in 0..60 {
            place.write(file, damaged(&whole, &mut random));
            let (code, _, stderr) = dry_run(&place, file);
            let is_right = matches!(code, 0 | 2 | 3 | 9) && !stderr.contains("panicked");
            assert!(is_right, "{file}, trial {trial}: {code} {stderr}");
            assert!(
                stderr.lines().count() <= 3,
                "{file}, trial {trial}: {stderr}"
            );
        }
    }
}
