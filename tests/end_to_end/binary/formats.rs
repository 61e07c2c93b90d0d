//! npy, safetensors and parquet files, the preview and the dry run, through the built binary.
//!
//! The oracle of every number is the JSON of the same run, bit for bit; what Python's readers make
//! of the files is in `formats/readers.rs`.

mod compressed;
mod dry_run;
#[cfg(target_os = "linux")]
mod faults;
#[cfg(target_os = "linux")]
mod killed;
mod npy;
#[cfg(feature = "parquet")]
mod parquet;
mod preview;
mod readers;
mod refusals;
mod tensors;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::checkpoint::Checkpoint;
use crate::support::command::{bert_embed, run};

/// Texts of several lengths, awkward ones among them; the checkpoint tiny knows few of the words.
const TEXTS: &str = "she is old\n\nriver of stone and snow in the old city\né 中 \u{1f600}\nlamp\n";

/// A working directory with a checkpoint in `model` and [`TEXTS`] in `in.txt`.
struct Place(TempDir);

impl Place {
    /// The checkpoint tiny: 3 layers, hidden 36, 131 positions.
    fn new() -> Self {
        Self::with(&Checkpoint::named("tiny"))
    }

    fn with(checkpoint: &Checkpoint) -> Self {
        let place = Self(tempfile::tempdir().expect("a temporary directory"));
        fs::create_dir(place.path("model")).expect("created");
        checkpoint.write(&place.path("model"));
        place.write("in.txt", TEXTS);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).expect("written");
    }

    fn run(&self, options: &[&str]) -> (i32, String, String) {
        let mut command = bert_embed(self.0.path());
        run(command.args(["--offline", "-m", "model"]).args(options))
    }

    /// What a run prints that must end well and say nothing.
    #[track_caller]
    fn print(&self, options: &[&str]) -> String {
        let (code, stdout, stderr) = self.run(options);
        assert_eq!((code, stderr.as_str()), (0, ""), "{options:?}");
        stdout
    }

    /// The records of `in.txt` as JSON.
    #[track_caller]
    fn records(&self, options: &[&str]) -> Vec<Value> {
        let mut all = vec!["-f", "in.txt"];
        all.extend(options);
        let parse = |line: &str| serde_json::from_str(line).expect("a JSON record a line");
        self.print(&all).lines().map(parse).collect()
    }

    /// The bytes of `output`, made of `in.txt` with `options`.
    #[track_caller]
    fn file(&self, output: &str, options: &[&str]) -> Vec<u8> {
        let mut all = vec!["-f", "in.txt", "-o", output];
        all.extend(options);
        assert_eq!(self.print(&all), "");
        fs::read(self.path(output)).expect("the output")
    }

    /// The run prints nothing and ends with `code` and just these words on standard error.
    #[track_caller]
    fn assert_refused(&self, options: &[&str], code: i32, words: &str) {
        let expected = (code, String::new(), words.to_owned());
        assert_eq!(self.run(options), expected, "{options:?}");
    }

    /// The names in the directory beside what the tests put there.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir::<&Path>(self.0.path()).expect("a listing");
        let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
        let names = entries.map(|entry| name(entry).to_string_lossy().into_owned());
        let mut names: Vec<_> = names
            .filter(|name| name != "model" && name != "in.txt")
            .collect();
        names.sort();
        names
    }
}

/// The numbers of nested lists, end to end; true is 1 and null is -1.
fn flat(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(flat).collect(),
        Value::Null => vec![-1.0],
        value => vec![value.as_f64().expect("a number")],
    }
}

/// The bits of a field's f32, record after record.
fn bits(records: &[Value], field: &str) -> Vec<u32> {
    let of = |record: &Value| flat(&record[field]);
    let numbers = records.iter().flat_map(of);
    numbers.map(|number| (number as f32).to_bits()).collect()
}

/// The bits of little-endian f32.
fn bits_of_bytes(bytes: &[u8]) -> Vec<u32> {
    let (words, rest) = bytes.as_chunks::<4>();
    assert!(rest.is_empty(), "a torn number");
    words.iter().map(|&word| u32::from_le_bytes(word)).collect()
}
