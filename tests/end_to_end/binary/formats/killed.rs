//! SIGKILL at any moment, while the file is assembled too, and `--resume`: in every form that can
//! be resumed the file has the bytes of a run that was never interrupted.

use std::fs;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Instant;

use super::Place;
use crate::support::command::{bert_embed, run};
use crate::support::fault::{Failure, Fault};
use crate::support::random::Random;

const KILLS: usize = 10;

/// The forms by their endings, each with fields that it can hold.
pub(super) const FORMS: &[(&str, &str)] = &[
    ("jsonl", "index,text,pooler_output"),
    ("jsonl.gz", "index,text,pooler_output"),
    ("jsonl.zst", "index,text,pooler_output"),
    ("npy", "pooler_output"),
    (
        "safetensors",
        "index,input_ids,last_hidden_state,pooler_output",
    ),
    #[cfg(feature = "parquet")]
    ("parquet", "index,text,tokens,word_ids,pooler_output"),
];

/// The forms before this one are written as they are, the others are assembled.
const FIRST_ASSEMBLED: usize = 3;

/// So many texts that a run over them keeps records more than once, and that each form's file is
/// larger than what a pipe holds.
fn place() -> Place {
    let place = Place::new();
    let mut random = Random(9);
    let mut lines = String::new();
    for _ in 0..6000 {
        let words = *random.pick(&[0, 1, 2, 4, 7, 12, 30]);
        lines += &random.text(words);
        lines.push('\n');
    }
    place.write("in.txt", lines);
    place
}

/// What a run with `output` takes.
fn options<'a>(output: &'a str, fields: &'a str) -> [&'a str; 7] {
    ["-f", "in.txt", "-q", "--fields", fields, "-o", output]
}

fn start(place: &Place, options: &[&str]) -> Child {
    bert_embed(place.0.path())
        .args(["--offline", "-m", "model"])
        .args(options)
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts")
}

fn kill(mut child: Child) {
    // SIGKILL on Unix.
    child.kill().expect("killed");
    child.wait().expect("it ends");
}

/// Whether a record would outlive a kill now.
fn has_kept(place: &Place, output: &str) -> bool {
    let state = fs::read_to_string(place.path(&format!("{output}.resume")));
    state.is_ok_and(|state| state.lines().count() > 1)
}

fn same_bytes(place: &Place, output: &str, whole: &[u8]) -> bool {
    fs::read(place.path(output)).expect("the output") == whole
}

#[track_caller]
fn assert_resumes(place: &Place, options: &[&str], output: &str, whole: &[u8]) {
    place.print(&[options, &["--resume"]].concat());
    assert!(same_bytes(place, output, whole), "{output} differs");
    assert_eq!(place.names(), [output], "nothing else is left");
}

#[test]
fn ten_kills_at_random_moments_change_no_byte() {
    for (form, fields) in FORMS {
        let place = place();
        let output = format!("out.{form}");
        let options = options(&output, fields);
        let begun = Instant::now();
        place.print(&options);
        let took = begun.elapsed();
        let whole = fs::read(place.path(&output)).expect("the output");
        fs::remove_file(place.path(&output)).expect("removed");
        let mut random = Random(1);
        let mut kills = 0;
        while kills < KILLS {
            let mut child = start(&place, &[&options[..], &["--resume"]].concat());
            sleep(took.mul_f64(random.below(1000) as f64 / 2000.0));
            if child.try_wait().expect("a child").is_some() {
                assert!(same_bytes(&place, &output, &whole), "{output} differs");
                fs::remove_file(place.path(&output)).expect("removed");
                continue;
            }
            kill(child);
            // One that came before anything was written proves little.
            kills += usize::from(has_kept(&place, &output));
        }
        assert_resumes(&place, &options, &output, &whole);
    }
}

/// Kills a run before its `nth` write to the file that it assembles.
fn kill_in_the_assembly(place: &Place, options: &[&str], output: &str, nth: usize) {
    let root = fs::canonicalize(place.0.path()).expect("the place");
    let fault = Fault {
        call: "write",
        nth,
        failure: Failure::Kill,
        under: &root.join(format!("{output}.assembled")),
    };
    let mut command = bert_embed(&root);
    command.args(["--offline", "-m", "model"]).args(options);
    fault.inject(&mut command);
    assert_eq!(run(&mut command).0, 137);
}

#[test]
fn a_kill_in_the_middle_of_the_assembly_changes_no_byte() {
    for (form, fields) in &FORMS[FIRST_ASSEMBLED..] {
        let place = place();
        let output = format!("out.{form}");
        let options = options(&output, fields);
        place.print(&options);
        let whole = fs::read(place.path(&output)).expect("the output");
        place.write(&output, "old");
        // Without the option, an output that is there is no reason not to begin.
        let resuming = [&options[..], &["--resume"]].concat();
        for (options, nth) in [(&options[..], 1), (&resuming, 2)] {
            kill_in_the_assembly(&place, options, &output, nth);
            assert!(same_bytes(&place, &output, b"old"), "{output} was touched");
        }
        let beside = ["partial", "resume"].map(|ending| format!("{output}.{ending}"));
        let kept = beside
            .each_ref()
            .map(|name| fs::read(place.path(name)).expect(name));
        assert_resumes(&place, &options, &output, &whole);
        // As a kill leaves it between the renaming and the removal of what is no longer needed.
        for (name, bytes) in beside.iter().zip(kept) {
            place.write(name, bytes);
        }
        assert_resumes(&place, &options, &output, &whole);
    }
}
