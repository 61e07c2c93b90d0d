//! `--skip`, `--limit` and `--shard`: some of the texts, each with its place in the whole input.

use std::fs;

use super::interrupted::Waiting;
use super::{Place, as_lines, json_lines, resume};

const TEXTS: usize = 23;

fn place() -> Place {
    let place = Place::new();
    place.write(
        "in",
        as_lines((0..TEXTS).map(|number| format!("she {number}"))),
    );
    place
}

/// The lines of a run.
#[track_caller]
fn lines(place: &Place, options: &[&str]) -> Vec<String> {
    let options = [
        &["-f", "in", "--fields", "index,text,pooler_output"],
        options,
    ]
    .concat();
    let (code, stdout, stderr) = place.run(&options);
    assert_eq!((code, stderr.as_str()), (0, ""), "{options:?}");
    stdout.lines().map(str::to_owned).collect()
}

#[test]
fn shards_together_are_the_whole_run_byte_for_byte() {
    let place = place();
    let whole = lines(&place, &[]);
    let mut joined = vec![String::new(); TEXTS];
    for (number, shard) in ["0/3", "1/3", "2/3"].into_iter().enumerate() {
        for (step, line) in lines(&place, &["--shard", shard]).into_iter().enumerate() {
            joined[number + 3 * step] = line;
        }
    }
    assert_eq!(joined, whole);
}

#[test]
fn skip_and_limit_come_before_shard_and_the_index_stays() {
    let place = place();
    let whole = lines(&place, &[]);
    assert_eq!(lines(&place, &["--skip", "20"]), whole[20..]);
    assert_eq!(lines(&place, &["--limit", "2", "--skip", "5"]), whole[5..7]);
    let some = lines(&place, &["--skip", "5", "--limit", "6", "--shard", "1/3"]);
    assert_eq!(some, [whole[7].clone(), whole[10].clone()]);
    assert!(lines(&place, &["--skip", "100"]).is_empty());
    assert!(lines(&place, &["--limit", "0"]).is_empty());
}

#[test]
fn an_error_record_keeps_its_place_too() {
    let place = Place::new();
    let input = b"she\nis\nb\xffd\nold\n";
    let (code, stdout, stderr) =
        place.run_with_input(&["--shard", "0/2", "--fields", "index"], input);
    let indexes: Vec<_> = json_lines(&stdout)
        .iter()
        .map(|it| it["index"].clone())
        .collect();
    assert_eq!((code, indexes), (9, vec![0.into(), 2.into()]));
    assert!(
        stderr.contains("1 of 2 texts are errors, the first: text 2: could not read line 3"),
        "{stderr}"
    );
}

#[test]
fn a_shard_is_resumed() {
    let place = resume::place();
    let arguments = resume::with(&["--shard", "1/2", "-o", "out"]);
    let (code, _, stderr) = place.run_with_input(&arguments, &resume::lines().concat());
    assert_eq!(code, 9, "{stderr}");
    let whole = place.read("out");
    fs::remove_file(place.path().join("out")).expect("removed");
    let first = resume::lines()[..40].concat();
    let (code, ..) = Waiting::start(&mut place.command(&arguments), &first)
        .until_kept(&place, 20)
        .signal("KILL")
        .end();
    assert_eq!(code, 137);
    let again = [&arguments[..], &["--resume"]].concat();
    let (code, _, stderr) = place.run_with_input(&again, &resume::lines().concat());
    assert_eq!(code, 9, "{stderr}");
    assert!(place.read("out") == whole, "the files differ");
}

#[test]
fn a_shard_that_is_none_is_refused() {
    let place = Place::empty();
    for shard in ["3/3", "1", "0/0", "-1/2", "a/b"] {
        let option = format!("--shard={shard}");
        place.assert_refused(
            &[&option, "she"],
            2,
            &format!("error: invalid value '{shard}' for '--shard <I/N>': allowed is I/N, with I from 0 to N - 1\n  tip: bert-embed --help\n"),
        );
    }
}
