//! Weights that are cut short or overwritten while a run has them mapped: exit 4, said, and FILE
//! does not appear.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use crate::support::checkpoint::Checkpoint;
use crate::support::command::bert_embed;

/// Feeds a run one text, lets `change` do something to its weights, and feeds it many more.
///
/// Gives the exit code, standard error and what stands in the directory afterwards.
fn run_while(change: fn(&fs::File, u64), to_file: bool) -> (Option<i32>, String, Vec<String>) {
    let place = tempfile::tempdir().expect("a temporary directory");
    // Its weights have many pages, so that a text touches some for the first time.
    Checkpoint::named("base").write(place.path());
    let mut command = bert_embed(place.path());
    command.args(["-m", ".", "--fields", "embedding", "--pooling", "mean"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if to_file {
        command.args(["-o", "out.jsonl"]);
    }
    let mut child = command.spawn().expect("the binary starts");
    let mut stdin = child.stdin.take().expect("standard input");
    let mut stdout = BufReader::new(child.stdout.take().expect("standard output"));
    writeln!(stdin, "the first text").expect("it reads");
    if to_file {
        let partial = place.path().join("out.jsonl.partial");
        while fs::metadata(&partial).map_or(0, |there| there.len()) == 0 {
            std::thread::yield_now();
        }
    } else {
        stdout
            .read_line(&mut String::new())
            .expect("the first record");
    }
    let path = place.path().join("model.safetensors");
    let file = OpenOptions::new()
        .write(true)
        .open(&path)
        .expect("the weights");
    let size_bytes = file.metadata().expect("its size").len();
    change(&file, size_bytes);
    for number in 0..40 {
        // Once it has ended, nobody reads any more.
        let _ = writeln!(stdin, "text {number}");
    }
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let mut names: Vec<_> = fs::read_dir(place.path())
        .expect("the directory")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| name.starts_with("out"))
        .collect();
    names.sort();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), stderr, names)
}

#[test]
fn weights_that_are_cut_short_end_the_run_with_words() {
    for to_file in [false, true] {
        let (code, stderr, names) = run_while(|file, _| file.set_len(4096).expect("cut"), to_file);
        assert_eq!(code, Some(4), "{stderr}");
        assert!(stderr.starts_with("error: could not "), "{stderr}");
        assert!(!names.contains(&"out.jsonl".to_owned()), "{names:?}");
    }
}

#[test]
fn weights_that_are_overwritten_give_no_file() {
    use std::os::unix::fs::FileExt;
    let zeros = |file: &fs::File, size_bytes: u64| {
        let zeros = vec![0; 1 << 20];
        for at in (1 << 20..size_bytes - (1 << 20)).step_by(1 << 20) {
            file.write_all_at(&zeros, at).expect("overwritten");
        }
    };
    let (code, stderr, names) = run_while(zeros, true);
    assert_eq!(code, Some(4), "{stderr}");
    assert!(stderr.contains("it was changed during the run"), "{stderr}");
    assert!(!names.contains(&"out.jsonl".to_owned()), "{names:?}");
}
