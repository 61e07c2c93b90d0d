//! What is not resumed or not overwritten, told by its name, with everything left as it was.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use super::interrupted::{Waiting, kept};
use super::output::shell;
use super::resume::{OPTIONS, assert_resumes, assert_whole, kill_after, lines, place, with};
use super::{Place, json_lines};

#[track_caller]
fn assert_refused(place: &Place, arguments: &[&str], input: &[u8], words: &str) {
    let before = (place.read("out.partial"), place.read("out.resume"));
    let (code, stdout, stderr) = place.run_with_input(&with(arguments), input);
    let expected = format!("error: could not resume {words}");
    assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
    assert!(stderr.starts_with(&expected), "{stderr}");
    let after = (place.read("out.partial"), place.read("out.resume"));
    assert!(before == after, "what was kept has changed");
}

#[test]
fn another_option_is_refused_by_its_name() {
    let place = place();
    kill_after(&place, 10);
    let cases: [(&[&str], &str); 9] = [
        (&["--max-length", "30"], "--max-length is 30, but was 20"),
        (
            &["--fields", "text"],
            "--fields is text,text_pair,dropped_tokens, but was index,text,text_pair,pooler_output,dropped_tokens",
        ),
        (&["--pooling", "mean"], "--fields is "),
        (
            &["--padding", "max-length"],
            "--padding is max-length, but was none",
        ),
        (
            &["--on-long", "error"],
            "--on-long is error, but was truncate",
        ),
        (
            &["--pair-separator", "|"],
            "--pair-separator is |, but was none",
        ),
        (&["--shard", "0/2"], "--shard is 0/2, but was none"),
        (&["--skip", "5"], "--skip is 5, but was 0"),
        (&["--limit", "5"], "--limit is 5, but was none"),
    ];
    for (arguments, words) in cases {
        // The last of an option given twice would be a usage error, so those of `OPTIONS` are
        // replaced.
        let mut typed = OPTIONS.to_vec();
        if let Some(at) = typed.iter().position(|option| *option == arguments[0]) {
            typed[at + 1] = arguments[1];
        } else {
            typed.extend(arguments);
        }
        typed.extend(["-o", "out", "--resume"]);
        let (code, _, stderr) = place.run_with_input(&typed, &lines().concat());
        assert_eq!(code, 2, "{stderr}");
        assert!(
            stderr.starts_with(&format!("error: could not resume `out`: {words}")),
            "{stderr}"
        );
        assert!(
            stderr.ends_with("  tip: use the same again, or remove `out.partial` to start over\n")
        );
    }
    // What changes no record may change.
    let (code, ..) = place.run_with_input(
        &[
            "--fields",
            OPTIONS[1],
            "--max-length",
            "20",
            "--batch-tokens",
            "4096",
            "--threads",
            "1",
            "-q",
            "-o",
            "out",
            "--resume",
        ],
        &lines().concat(),
    );
    assert_eq!(code, 9);
    assert_whole(&place);
}

#[test]
fn another_model_is_refused() {
    let place = place();
    kill_after(&place, 10);
    let path = place.path().join("model/model.safetensors");
    let file = File::options()
        .read(true)
        .write(true)
        .open(&path)
        .expect("there");
    let at = file.metadata().expect("there").len() - 3;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("read");
    file.write_all_at(&[byte[0] ^ 1], at).expect("written");
    let input = lines().concat();
    assert_refused(
        &place,
        &["-o", "out", "--resume"],
        &input,
        "`out`: the model is sha256 ",
    );
    file.write_all_at(&byte, at).expect("written");
    assert_resumes(&place);
}

#[test]
fn another_input_is_refused_and_one_with_more_texts_is_not() {
    let place = place();
    kill_after(&place, 10);
    let mut input = lines();
    input[9] = b"another text\n".to_vec();
    let resume = ["-o", "out", "--resume"];
    let words = "with this input: its first 10 texts are not the texts of the interrupted run\n  tip: give the same texts again, or remove the .partial file to start over\n";
    assert_refused(&place, &resume, &input.concat(), words);
    let words = "with this input: it has 7 texts, but the interrupted run has embedded 10\n";
    assert_refused(&place, &resume, &lines()[..7].concat(), words);
    assert_resumes(&place);
}

#[test]
fn an_interrupted_run_is_not_overwritten() {
    let place = place();
    kill_after(&place, 10);
    place.assert_refused(
        &["-o", "out", "she"],
        7,
        "error: could not write `out`: `out.partial` holds 10 records of an interrupted run\n  tip: continue with --resume, or remove `out.partial` to start over\n",
    );
    fs::remove_file(place.path().join("out.partial")).expect("removed");
    assert_eq!(place.run(&["-o", "out", "she"]).0, 0);
    assert_eq!(json_lines(&place.read("out")).len(), 1);
    assert_eq!(place.names(), ["in", "out", "whole"]);
}

#[test]
fn a_file_of_somebody_else_is_not_touched() {
    let place = Place::new();
    place.write("out.partial", "mine");
    let words = "error: could not write `out`: `out.partial` is in the way\n  tip: move it away: an unfinished output needs its name\n";
    place.assert_refused(&["-o", "out", "she"], 7, words);
    place.write("out.resume", "mine too");
    let words = "error: could not write `out`: could not use `out.resume`: it was not written by this program\n";
    place.assert_refused(&["-o", "out", "she"], 7, words);
    assert_eq!(
        (place.read("out.partial"), place.read("out.resume")),
        ("mine".into(), "mine too".into())
    );
}

#[test]
fn a_second_process_is_refused() {
    let place = place();
    let first = lines()[..10].concat();
    let run = Waiting::start(&mut place.command(&with(&["-o", "out"])), &first);
    let run = run.until_kept(&place, 10);
    for resume in [&[][..], &["--resume"]] {
        let arguments = [&["-o", "out", "she"], resume].concat();
        let words = "error: could not write `out`: could not use `out.resume`: another process is writing it\n";
        place.assert_refused(&arguments, 7, words);
    }
    assert_eq!(run.finish(&lines()[10..].concat()).0, 9);
    assert_whole(&place);
}

#[test]
fn with_padding_to_the_longest_a_longer_text_at_the_end_is_another_input() {
    let place = Place::new();
    let options = "--fields index,last_hidden_state --padding longest --batch-tokens 64";
    let mut options: Vec<_> = options.split(' ').collect();
    let input = lines().concat();
    assert_eq!(
        place
            .run_with_input(&[&options[..], &["-o", "whole"]].concat(), &input)
            .0,
        9
    );
    place.write("in", &input);
    let script = format!(
        "ulimit -f 2000; \"$0\" \"$@\" {} -o out < in",
        options.join(" ")
    );
    let (code, _, stderr) = shell(&place, &script);
    assert_eq!(code, 7, "{stderr}");
    assert!(kept(&place) > 0);
    options.extend(["-o", "out", "--resume"]);
    let longer = [&input[..], " the winter".repeat(40).as_bytes()].concat();
    let (code, _, stderr) = place.run_with_input(&options, &longer);
    assert_eq!(code, 2);
    assert!(
        stderr.contains("are not the texts of the interrupted run"),
        "{stderr}"
    );
    assert_eq!(place.run_with_input(&options, &input).0, 9);
    assert_whole(&place);
}

#[test]
fn resume_needs_a_file() {
    let place = Place::empty();
    for (arguments, words) in [
        (
            &["--resume", "she"][..],
            "the following required arguments were not provided: --output <FILE>",
        ),
        (
            &["--resume", "-o", "out.json", "she"],
            "--resume and --format json do not go together",
        ),
        (
            &["--resume", "-o", "/dev/stdout", "she"],
            "--resume needs a file: standard output is a stream",
        ),
    ] {
        let (code, _, stderr) = place.run(arguments);
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.starts_with(&format!("error: {words}")), "{stderr}");
    }
}
