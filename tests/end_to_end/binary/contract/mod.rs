//! The contract through the built binary: what is typed and piped, what comes back, how it ends.
//!
//! These tests hold what scripts rely on: exit codes, the words on standard error, the JSON, the
//! files. The numbers themselves are tested in `fidelity/`.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::checkpoint::Checkpoint;
use crate::support::command::{bert_embed, parts, run, run_with_input};

mod arguments;
mod bounds;
mod devices;
mod dtype;
mod faults;
mod guesses;
mod ids;
mod input;
mod interrupted;
mod limits;
mod many;
mod models;
mod not_finite;
mod option_pairs;
mod output;
mod records;
mod resume;
#[cfg(target_os = "linux")]
mod resume_complete;
mod resume_refusals;
mod same_bits;
mod selection;
mod self_test;
mod shrinking;
mod side_files;
mod signals;
mod streams;
mod tables;
mod weights_change;

/// A working directory with the checkpoint `tiny` in `model`: 3 layers, hidden 36, 131 positions.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self::with("tiny")
    }

    /// With the checkpoint `name` of checkpoints.json.
    fn with(name: &str) -> Self {
        let place = Self::empty();
        fs::create_dir(place.path().join("model")).expect("created");
        Checkpoint::named(name).write(&place.path().join("model"));
        place
    }

    fn empty() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// The program on the place's model, never on the network.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bert_embed(self.path());
        command.args(["--offline", "-m", "model"]);
        command.args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        run(&mut self.command(arguments))
    }

    fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> (i32, String, String) {
        parts(&run_with_input(&mut self.command(arguments), input))
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path().join(name), content).expect("written");
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).expect("a file of text")
    }

    /// The names in the directory, the model's left out.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).expect("a listing");
        let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
        let mut names: Vec<_> = entries
            .map(|entry| name(entry).to_string_lossy().into_owned())
            .collect();
        names.retain(|name| name != "model");
        names.sort();
        names
    }

    /// The records of a run that must end well and say nothing.
    #[track_caller]
    fn records(&self, arguments: &[&str]) -> Vec<Value> {
        let (code, stdout, stderr) = self.run(arguments);
        assert_eq!((code, stderr.as_str()), (0, ""), "{arguments:?}");
        json_lines(&stdout)
    }

    /// The only record.
    #[track_caller]
    fn record(&self, arguments: &[&str]) -> Value {
        let mut records = self.records(arguments);
        assert_eq!(records.len(), 1, "one text, one record");
        records.remove(0)
    }

    /// The run prints nothing and ends with `code` and just these words on standard error.
    #[track_caller]
    fn assert_refused(&self, arguments: &[&str], code: i32, words: &str) {
        let (found, stdout, stderr) = self.run(arguments);
        let expected = (code, String::new(), words.to_owned());
        assert_eq!((found, stdout, stderr), expected, "{arguments:?}");
    }
}

/// The texts as the lines of a file.
fn as_lines<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    let mut lines = String::new();
    for text in texts {
        lines.push_str(text.as_ref());
        lines.push('\n');
    }
    lines
}

/// Every line as JSON.
#[track_caller]
fn json_lines(stdout: &str) -> Vec<Value> {
    assert!(stdout.is_empty() || stdout.ends_with('\n'), "a torn line");
    let parse = |line: &str| serde_json::from_str(line).expect("a JSON record a line");
    stdout.lines().map(parse).collect()
}

/// A list of f32 as the JSON tells it, to the bit.
fn floats(list: &Value) -> Vec<f32> {
    let number = |value: &Value| value.as_f64().expect("a number") as f32;
    let list = list.as_array().expect("a list");
    list.iter().map(number).collect()
}

/// A table of f32.
fn rows(table: &Value) -> Vec<Vec<f32>> {
    let table = table.as_array().expect("a list of rows");
    table.iter().map(floats).collect()
}
