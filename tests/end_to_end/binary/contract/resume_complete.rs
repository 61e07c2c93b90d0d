//! `--resume` if FILE is complete: the same run leaves it as it is, another one is told by its name
//! (exit 7), and FILE stays in both cases.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::Place;
use super::resume::{kill_after, place, with};
use crate::support::command::run;
use crate::support::fault::{Failure, Fault};

const TIP: &str = "  tip: leave --resume out to replace the file, or give another -o\n";

/// Every format that can be resumed, with fields that it holds.
const FORMS: &[(&str, &str)] = &[
    ("jsonl", "index,pooler_output"),
    ("jsonl.gz", "index,pooler_output"),
    ("jsonl.zst", "index,pooler_output"),
    ("npy", "pooler_output"),
    ("safetensors", "index,pooler_output"),
    #[cfg(feature = "parquet")]
    ("parquet", "index,pooler_output"),
];

/// What tells whether a file was touched.
fn state(place: &Place, name: &str) -> (Vec<u8>, u64, i64, i64) {
    let path = place.path().join(name);
    let metadata = fs::metadata(&path).expect("there");
    let (ino, seconds, nanoseconds) = (metadata.ino(), metadata.mtime(), metadata.mtime_nsec());
    (fs::read(path).expect("readable"), ino, seconds, nanoseconds)
}

/// The run ends with `code` and these words, and nothing changes.
#[track_caller]
fn assert_leaves(place: &Place, name: &str, arguments: &[&str], code: i32, words: &str) {
    let before = (state(place, name), place.names());
    let (found, stdout, stderr) = place.run(arguments);
    assert_eq!(
        (found, stdout.as_str(), stderr.as_str()),
        (code, "", words),
        "{arguments:?}"
    );
    assert!(
        (state(place, name), place.names()) == before,
        "{name} was touched"
    );
}

fn refusal(name: &str, cause: &str) -> String {
    format!("error: could not resume `{name}`: it was completed by a different run: {cause}\n{TIP}")
}

#[test]
fn the_same_run_again_does_nothing_in_every_format() {
    for (form, fields) in FORMS {
        let place = Place::new();
        place.write("in", "she is\nold\n");
        let name = format!("out.{form}");
        let arguments = ["-f", "in", "--fields", fields, "-o", &name];
        assert_eq!(place.run(&arguments), (0, String::new(), String::new()));
        let again = [&arguments[..], &["--resume"]].concat();
        let note = format!("note: `{name}` is already complete: it is left unchanged\n");
        assert_leaves(&place, &name, &again, 0, &note);
        // What changes no record may change, and the name of the input too.
        fs::rename(place.path().join("in"), place.path().join("texts")).expect("renamed");
        let options = ["--threads", "1", "--batch-tokens", "8", "-q", "--resume"];
        let again = [
            &["-f", "texts", "--fields", fields, "-o", &name],
            &options[..],
        ]
        .concat();
        assert_leaves(&place, &name, &again, 0, "");
    }
}

#[test]
fn another_run_is_told_by_its_name_in_every_format() {
    for (form, fields) in FORMS {
        let place = Place::new();
        place.write("in", "she is\nold\n");
        place.write("other", "she is\nnew\n");
        place.write("more", "she is\nold\nnow\n");
        let name = format!("out.{form}");
        let arguments = ["-f", "in", "--fields", fields, "-o", &name];
        assert_eq!(place.run(&arguments), (0, String::new(), String::new()));
        let resumed = |input: &'static str, more: &[&'static str]| {
            let given = ["-f", input, "-o", &name, "--resume"];
            [&given[..], more]
                .concat()
                .iter()
                .map(|&it| it.to_owned())
                .collect::<Vec<_>>()
        };
        let texts = "its texts are not the texts of this input";
        let count = "it has 2 records, but this input has 3 texts";
        // All but npy have a field that nobody asks for.
        let dropped = match *form {
            "npy" => "",
            _ => ",dropped_tokens",
        };
        let pooling = format!("--fields is embedding{dropped}, but was {fields}{dropped}");
        let mut cases = vec![
            (
                resumed("other", &["--fields", fields]),
                refusal(&name, texts),
            ),
            (
                resumed("more", &["--fields", fields]),
                refusal(&name, count),
            ),
            (
                resumed("in", &["--pooling", "mean", "--fields", "embedding"]),
                refusal(&name, &pooling),
            ),
            (
                resumed("in", &["--fields", fields, "--dtype", "bf16"]),
                refusal(&name, "--dtype is bf16, but was f32"),
            ),
        ];
        if !form.starts_with("jsonl") {
            let float = resumed("in", &["--fields", fields, "--float", "f16"]);
            cases.push((float, refusal(&name, "--float is f16, but was f32")));
        }
        for (arguments, words) in &cases {
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            assert_leaves(&place, &name, &arguments, 7, words);
        }
        // Another model under the same name.
        let weights = place.path().join("model/model.safetensors");
        let mut bytes = fs::read(&weights).expect("the weights");
        let at = bytes.len() - 3;
        bytes[at] ^= 1;
        fs::write(&weights, bytes).expect("written");
        let before = state(&place, &name);
        let again = [&arguments[..], &["--resume"]].concat();
        let (code, _, stderr) = place.run(&again);
        assert_eq!(code, 7, "{stderr}");
        let words = refusal(&name, "the model is sha256 ");
        let begins = words.split(" \n").next().expect("the first line");
        assert!(stderr.starts_with(begins), "{stderr}");
        assert!(state(&place, &name) == before, "{name} was touched");
    }
}

#[test]
fn a_file_that_does_not_tell_or_has_changed_is_refused() {
    let place = Place::new();
    place.write("in", "she is\nold\n");
    let arguments = ["-f", "in", "--fields", "index", "-o", "out", "--resume"];
    // As a copy loses it, or of another program.
    place.write("out", "{\"index\":0}\n");
    let words = format!(
        "error: could not resume `out`: it already exists, and nothing records which run wrote it \
         (no `user.bert-embed` attribute)\n{TIP}"
    );
    assert_leaves(&place, "out", &arguments, 7, &words);
    fs::remove_file(place.path().join("out")).expect("removed");
    assert_eq!(place.run(&[&arguments[..], &["-q"]].concat()).0, 0);
    let whole = place.read("out");
    let words = format!(
        "error: could not resume `out`: its bytes have changed since it was completed\n\
         {TIP}"
    );
    // Writing to a file keeps its attributes; the second content has as many bytes.
    for changed in [format!("{whole}{{}}\n"), whole.replace('0', "7")] {
        place.write("out", changed);
        assert_leaves(&place, "out", &arguments, 7, &words);
    }
}

#[test]
fn a_changed_module_of_the_model_is_another_run() {
    let place = Place::new();
    let model = |name: &str, content: &str| {
        let path = place.path().join("model").join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, content).expect("written");
    };
    model(
        "modules.json",
        r#"[{"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"},
            {"idx":1,"name":"1","path":"1_Pooling/","type":"sentence_transformers.models.Pooling"}]"#,
    );
    model("1_Pooling/config.json", r#"{"pooling_mode":"mean"}"#);
    let arguments = [
        "--pooling",
        "model",
        "-o",
        "out",
        "--resume",
        "-q",
        "she is",
    ];
    assert_eq!(place.run(&arguments).0, 0);
    assert_eq!(place.run(&arguments).0, 0);
    model("1_Pooling/config.json", r#"{"pooling_mode":"max"}"#);
    let (code, _, stderr) = place.run(&arguments);
    assert_eq!(code, 7, "{stderr}");
}

#[test]
fn kept_columns_of_a_bad_text_are_part_of_the_input() {
    let place = Place::new();
    let columns = [
        "-f",
        "in.jsonl",
        "--fields",
        "index",
        "--keep-columns",
        "n",
        "-q",
    ];
    let arguments = [&columns[..], &["-o", "out", "--resume"]].concat();
    place.write("in.jsonl", "{\"text\":\"she\"}\n{\"n\":1}\n");
    assert_eq!(place.run(&arguments).0, 9);
    assert_eq!(place.run(&arguments).0, 0);
    place.write("in.jsonl", "{\"text\":\"she\"}\n{\"n\":2}\n");
    assert_eq!(place.run(&arguments).0, 7);
}

#[test]
fn a_few_texts_of_many_bytes_are_counted_too() {
    let place = Place::new();
    // More than the 32 MiB that may be on their way at once.
    place.write("in", format!("{}\n", "a".repeat(12 << 20)).repeat(4));
    assert_eq!(place.run(&["-f", "in", "--dry-run", "-q"]).0, 0);
    let arguments = [
        "-f", "in", "--fields", "index", "-o", "out", "--resume", "-q",
    ];
    assert_eq!(place.run(&arguments).0, 0);
    assert_eq!(place.run(&arguments).0, 0);
}

#[test]
fn a_file_system_without_attributes_is_no_reason_to_fail() {
    let place = Place::new();
    place.write("in", "she is\nold\n");
    let root = fs::canonicalize(place.path()).expect("the place");
    let failing = |arguments: &[&str], call, errno| {
        let mut command = place.command(arguments);
        let fault = Fault {
            call,
            nth: 1,
            failure: Failure::Errno(errno),
            under: &root,
        };
        fault.inject(&mut command);
        run(&mut command)
    };
    let arguments = ["-f", "in", "--fields", "index", "-o", "out"];
    let resume = [&arguments[..], &["--resume"]].concat();
    let nothing = (0, String::new(), String::new());
    for errno in [libc::EOPNOTSUPP, libc::ENOSPC, libc::EDQUOT, libc::EIO] {
        assert_eq!(failing(&arguments, "setxattr", errno), nothing);
        assert_eq!(place.names(), ["in", "out"]);
        let (code, _, stderr) = place.run(&resume);
        assert!(
            code == 7 && stderr.contains("nothing records which run"),
            "{stderr}"
        );
    }
    assert_eq!(place.run(&arguments), nothing);
    let note = "note: `out` already exists and is left unchanged: its file system does not record which \
                run wrote it\n";
    let found = failing(&resume, "getxattr", libc::EOPNOTSUPP);
    assert_eq!(found, (0, String::new(), note.to_owned()));
    let words = "error: could not resume `out`: input/output error\n";
    let found = failing(&resume, "getxattr", libc::EIO);
    assert_eq!(found, (7, String::new(), words.to_owned()));
}

#[test]
fn a_file_that_was_interrupted_before_it_was_complete_tells_its_last_run() {
    let place = place();
    kill_after(&place, 10);
    let resume = with(&["-f", "in", "-o", "out", "--resume", "-q"]);
    let (code, ..) = place.run(&resume);
    // Its first records are of standard input, which the words of an error name.
    assert_eq!(code, 2);
    let input = super::resume::lines().concat();
    let resume = with(&["-o", "out", "--resume", "-q"]);
    assert_eq!(place.run_with_input(&resume, &input).0, 9);
    assert_eq!(place.run_with_input(&resume, &input).0, 0);
    let (code, _, stderr) = place.run_with_input(&resume, &input[..input.len() - 8]);
    assert_eq!(code, 7, "{stderr}");
}

#[test]
fn another_float_is_refused_for_an_interrupted_run() {
    let place = Place::new();
    let texts = "she is old\n".repeat(4000);
    place.write("in", &texts);
    let root = fs::canonicalize(place.path()).expect("the place");
    for form in ["npy", "safetensors"] {
        let name = format!("out.{form}");
        let arguments = ["-f", "in", "--fields", "pooler_output", "-o", &name];
        let fault = Fault {
            call: "rename",
            nth: 1,
            failure: Failure::Kill,
            under: &root,
        };
        let mut command = place.command(&arguments);
        fault.inject(&mut command);
        assert_eq!(run(&mut command).0, 137);
        let partial = fs::read(place.path().join(format!("{name}.partial"))).expect("kept");
        let resume = [&arguments[..], &["--resume", "--float", "f16"]].concat();
        let words = format!(
            "error: could not resume `{name}`: --float is f16, but was f32 in the interrupted run\n  \
             tip: use the same again, or remove `{name}.partial` to start over\n"
        );
        place.assert_refused(&resume, 2, &words);
        let after = fs::read(place.path().join(format!("{name}.partial"))).expect("kept");
        assert!(partial == after, "what was kept has changed");
    }
}
