//! Every system call on the files of a run fails in turn, in every format, in a new run and in a
//! resumed one: then FILE is the old one or the new one, and the next run makes the same bytes.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::killed::FORMS;
use super::{Place, TEXTS};
use crate::support::command::{bert_embed, run};
use crate::support::fault::{Failure, Fault, failed_path};
use crate::support::random::Random;

/// The kinds of call with the errors that each may return.
const CALLS: [(&str, &[Failure]); 13] = {
    use Failure::{Errno, Kill, Short};
    const IO: Failure = Errno(libc::EIO);
    const FULL: Failure = Errno(libc::ENOSPC);
    const QUOTA: Failure = Errno(libc::EDQUOT);
    const STALE: Failure = Errno(libc::ESTALE);
    const INTERRUPTED: Failure = Errno(libc::EINTR);
    const MANY: Failure = Errno(libc::EMFILE);
    [
        ("open", &[IO, FULL, QUOTA, STALE, INTERRUPTED, MANY, Kill]),
        ("stat", &[IO, STALE, INTERRUPTED, Kill]),
        ("read", &[IO, STALE, INTERRUPTED, Short, Kill]),
        ("write", &[IO, FULL, QUOTA, STALE, INTERRUPTED, Short, Kill]),
        ("seek", &[IO, Kill]),
        ("sync", &[IO, FULL, QUOTA, STALE, INTERRUPTED, Kill]),
        ("truncate", &[IO, FULL, INTERRUPTED, Kill]),
        ("rename", &[IO, FULL, QUOTA, STALE, Kill]),
        ("unlink", &[IO, STALE, Kill]),
        ("chmod", &[IO, STALE, Kill]),
        ("lock", &[IO, STALE, INTERRUPTED, Kill]),
        ("mmap", &[Errno(libc::ENOMEM), Errno(libc::ENODEV), Kill]),
        ("readlink", &[IO, STALE, Kill]),
    ]
};

fn fault<'a>(under: &'a Path, call: &'a str, nth: usize, failure: Failure) -> Fault<'a> {
    Fault {
        call,
        nth,
        failure,
        under,
    }
}

/// A place, the run that is tried there, and what it must make.
struct Trial {
    place: Place,
    output: String,
    options: Vec<String>,
    /// What an interrupted run has left: names and bytes.
    left: Vec<(String, Vec<u8>)>,
    whole: Vec<u8>,
}

impl Trial {
    /// A run with an old file there, which is to be replaced.
    fn new(form: &str, fields: &str) -> Self {
        Self::of(TEXTS, form, fields)
    }

    fn of(texts: &str, form: &str, fields: &str) -> Self {
        let place = Place::new();
        place.write("in.txt", texts);
        let output = format!("out.{form}");
        let options = [
            "-f",
            "in.txt",
            "-q",
            "--fields",
            fields,
            "--threads",
            "1",
            "-o",
        ];
        let mut options: Vec<_> = options.map(str::to_owned).into();
        options.push(output.clone());
        let mut this = Self {
            place,
            output,
            options,
            left: Vec::new(),
            whole: Vec::new(),
        };
        assert_eq!(this.run(&[], None), (0, String::new()));
        this.whole = this.file().expect("the output");
        this
    }

    /// The same behind a run that was killed after its first texts. A compressed file is continued
    /// behind a member, which has 64 records.
    fn resumed(form: &str, fields: &str) -> Self {
        let (repeats, first) = match form {
            "jsonl.gz" | "jsonl.zst" => (14, 66),
            _ => (1, 2),
        };
        let texts = TEXTS.repeat(repeats);
        let mut this = Self::of(&texts, form, fields);
        let lines: String = texts.split_inclusive('\n').take(first).collect();
        this.place.write("in.txt", lines);
        let kill = ("rename", 1, Failure::Kill);
        assert_eq!(this.run(&[], Some(kill)).0, 137);
        this.place.write("in.txt", texts);
        for name in this.beside() {
            let bytes = fs::read(this.place.path(&name)).expect("a side file");
            this.left.push((name, bytes));
        }
        this.left.retain(|(name, _)| !name.ends_with(".assembled"));
        assert_eq!(this.left.len(), 2);
        this.options.push("--resume".to_owned());
        this
    }

    /// Runs the program, with one call failing; its exit code and its standard error.
    fn run(&self, more: &[&str], failing: Option<(&str, usize, Failure)>) -> (i32, String) {
        let mut command = bert_embed(self.place.0.path());
        command.args(["--offline", "-m", "model"]);
        command.args(&self.options).args(more);
        if let Some((call, nth, failure)) = failing {
            fault(&self.root(), call, nth, failure).inject(&mut command);
        }
        let (code, stdout, stderr) = run(&mut command);
        assert_eq!(stdout, "");
        (code, stderr)
    }

    /// The place as the system names it.
    fn root(&self) -> PathBuf {
        fs::canonicalize(self.place.0.path()).expect("the place")
    }

    fn file(&self) -> Option<Vec<u8>> {
        fs::read(self.place.path(&self.output)).ok()
    }

    /// The names beside the output.
    fn beside(&self) -> Vec<String> {
        let mut names = self.place.names();
        names.retain(|name| *name != self.output);
        names
    }

    /// As an interrupted run has left it, with an old file.
    fn reset(&self) {
        for name in self.beside() {
            fs::remove_file(self.place.path(&name)).expect("removed");
        }
        self.place.write(&self.output, "old");
        for (name, bytes) in &self.left {
            self.place.write(name, bytes);
        }
    }

    /// One call fails. Whether there was such a call.
    fn try_one(&self, call: &str, nth: usize, failure: Failure) -> bool {
        self.reset();
        let (code, stderr) = self.run(&[], Some((call, nth, failure)));
        let failed = failed_path();
        let what = format!(
            "{} {call} {nth} {failure:?} {failed:?}: {code} {stderr}",
            self.output
        );
        let Some(failed) = failed else {
            assert_eq!(code, 0, "{what}");
            self.assert_whole(&what);
            return false;
        };
        self.assert_told(code, &stderr, &failed, failure, &what);
        let file = self.file().expect("a file");
        assert!(file == b"old" || file == self.whole, "half a file: {what}");
        if code == 0 {
            self.assert_whole(&what);
        } else {
            self.assert_heals(&what);
        }
        true
    }

    fn assert_told(&self, code: i32, stderr: &str, failed: &Path, failure: Failure, what: &str) {
        if failure == Failure::Kill {
            assert_eq!(code, 137, "{what}");
            return;
        }
        let failed = failed
            .strip_prefix(self.root())
            .expect("a file of the place");
        let expected = if failure == Failure::Errno(libc::ENOMEM) {
            8
        } else if failed.starts_with("model") {
            4
        } else if failed == "in.txt" {
            3
        } else {
            7
        };
        assert!(code == 0 || code == expected, "{what}");
        if code != 0 {
            let is_one_line = stderr
                .lines()
                .filter(|line| !line.starts_with("  tip: "))
                .count();
            assert!(stderr.starts_with("error: ") && is_one_line == 1, "{what}");
            assert!(!stderr.contains("os error"), "{what}");
        }
    }

    /// The next run ends well, with the same bytes.
    fn assert_heals(&self, what: &str) {
        let known =
            [".partial", ".resume", ".assembled"].map(|ending| self.output.clone() + ending);
        let beside = self.beside();
        assert!(
            beside.iter().all(|name| known.contains(name)),
            "{beside:?} {what}"
        );
        let is_left = beside.contains(&known[1]);
        assert!(
            is_left || beside.is_empty(),
            "{beside:?} without a state: {what}"
        );
        assert!(
            is_left || self.left.is_empty() || self.file() == Some(self.whole.clone()),
            "{what}"
        );
        let has_option = self.options.iter().any(|option| option == "--resume");
        let can_resume = is_left && !has_option && self.output != "out.json";
        let more: &[&str] = if can_resume { &["--resume"] } else { &[] };
        let (code, stderr) = self.run(more, None);
        assert_eq!((code, stderr.as_str()), (0, ""), "then: {what}");
        self.assert_whole(what);
    }

    fn assert_whole(&self, what: &str) {
        assert!(
            self.file().as_ref() == Some(&self.whole),
            "other bytes: {what}"
        );
        assert!(
            self.beside().is_empty(),
            "{:?} is left: {what}",
            self.beside()
        );
    }

    /// Each call in turn until there are no more, with one error each, or with all if
    /// `BERT_EMBED_FAULTS=all`.
    fn try_all(&self, kind: &str) {
        let all = std::env::var("BERT_EMBED_FAULTS").is_ok_and(|value| value == "all");
        let seed = std::env::var("BERT_EMBED_SEED").ok();
        let seed = seed.and_then(|seed| seed.parse().ok()).unwrap_or(13);
        let mut random = Random(seed);
        let (mut counts, mut bad) = (Vec::new(), 0);
        for (call, failures) in CALLS {
            let mut trials = 0;
            for nth in 1.. {
                let one = [*random.pick(failures)];
                let chosen = if all { failures } else { &one };
                let mut tried = 0;
                for &failure in chosen {
                    // One that panics has printed why; the others are tried all the same.
                    let trial = AssertUnwindSafe(|| self.try_one(call, nth, failure));
                    let there_was_one = catch_unwind(trial).unwrap_or_else(|_| {
                        bad += 1;
                        true
                    });
                    tried += usize::from(there_was_one);
                }
                trials += tried;
                if tried == 0 {
                    break;
                }
            }
            counts.push((call, trials));
        }
        eprintln!("{} {kind}, seed {seed}: trials {counts:?}", self.output);
        assert_eq!(bad, 0, "bad trials");
        let none: Vec<_> = counts.iter().filter(|(_, trials)| *trials == 0).collect();
        assert!(none.is_empty(), "no such calls were seen: {none:?}");
    }
}

#[track_caller]
fn fields(form: &str) -> &'static str {
    let found = FORMS.iter().find(|(known, _)| *known == form);
    found.expect("a form").1
}

#[test]
fn every_call_may_fail_in_a_new_jsonl_run() {
    Trial::new("jsonl", fields("jsonl")).try_all("new");
}

#[test]
fn every_call_may_fail_in_a_resumed_jsonl_run() {
    Trial::resumed("jsonl", fields("jsonl")).try_all("resumed");
}

#[test]
fn every_call_may_fail_in_a_new_gzip_run() {
    Trial::new("jsonl.gz", fields("jsonl.gz")).try_all("new");
}

#[test]
fn every_call_may_fail_in_a_resumed_gzip_run() {
    Trial::resumed("jsonl.gz", fields("jsonl.gz")).try_all("resumed");
}

#[test]
fn every_call_may_fail_in_a_new_zstd_run() {
    Trial::new("jsonl.zst", fields("jsonl.zst")).try_all("new");
}

#[test]
fn every_call_may_fail_in_a_resumed_zstd_run() {
    Trial::resumed("jsonl.zst", fields("jsonl.zst")).try_all("resumed");
}

#[test]
fn every_call_may_fail_in_a_new_json_run() {
    Trial::new("json", "index,text,pooler_output").try_all("new");
}

#[test]
fn every_call_may_fail_in_a_new_npy_run() {
    Trial::new("npy", fields("npy")).try_all("new");
}

#[test]
fn every_call_may_fail_in_a_resumed_npy_run() {
    Trial::resumed("npy", fields("npy")).try_all("resumed");
}

#[test]
fn every_call_may_fail_in_a_new_safetensors_run() {
    Trial::new("safetensors", fields("safetensors")).try_all("new");
}

#[test]
fn every_call_may_fail_in_a_resumed_safetensors_run() {
    Trial::resumed("safetensors", fields("safetensors")).try_all("resumed");
}

#[cfg(feature = "parquet")]
#[test]
fn every_call_may_fail_in_a_new_parquet_run() {
    Trial::new("parquet", fields("parquet")).try_all("new");
}

#[cfg(feature = "parquet")]
#[test]
fn every_call_may_fail_in_a_resumed_parquet_run() {
    Trial::resumed("parquet", fields("parquet")).try_all("resumed");
}
