//! A run that is stopped from outside once it has answered so many texts.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use super::Place;
use crate::support::command::parts;

/// A run whose standard input the test holds open, so that it waits for more text.
pub(super) struct Waiting(Child);

impl Waiting {
    /// Starts `command` and gives it `input`.
    pub(super) fn start(command: &mut Command, input: &[u8]) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stdin = child.stdin.as_mut().expect("standard input is piped");
        stdin.write_all(input).expect("written");
        stdin.flush().expect("flushed");
        Self(child)
    }

    /// Waits until `out` of `place` has `records` that would outlive a kill.
    #[track_caller]
    pub(super) fn until_kept(mut self, place: &Place, records: u64) -> Self {
        while kept(place) < records {
            let ended = self.0.try_wait().expect("a child");
            assert!(ended.is_none(), "it ended with {ended:?}");
            sleep(Duration::from_millis(2));
        }
        self
    }

    /// Sends `signal` (a name as `kill` knows it).
    pub(super) fn signal(self, signal: &str) -> Self {
        let sent = Command::new("kill")
            .args([&format!("-{signal}"), &self.0.id().to_string()])
            .status();
        assert!(sent.is_ok_and(|status| status.success()), "kill");
        self
    }

    /// The end of the process, reached without the end of its input: (exit code, stdout, stderr).
    pub(super) fn end(mut self) -> (i32, String, String) {
        // Standard input stays open until the process is gone.
        let stdin = self.0.stdin.take();
        let output = self.0.wait_with_output().expect("the binary ends");
        drop(stdin);
        parts(&output)
    }

    /// Gives it the rest of its input and lets it end.
    pub(super) fn finish(mut self, input: &[u8]) -> (i32, String, String) {
        let mut stdin = self.0.stdin.take().expect("standard input is piped");
        stdin.write_all(input).expect("written");
        drop(stdin);
        parts(&self.0.wait_with_output().expect("the binary ends"))
    }

    /// The process itself.
    pub(super) fn child(&mut self) -> &mut Child {
        &mut self.0
    }
}

/// The records of `out` that would outlive a kill.
pub(super) fn kept(place: &Place) -> u64 {
    let state = std::fs::read_to_string(place.path().join("out.resume")).unwrap_or_default();
    let last = state.lines().skip(1).filter_map(mark).last();
    last.and_then(|mark| mark["synced"]["counts"]["records"].as_u64())
        .unwrap_or(0)
}

/// What a line of the state says; a checksum follows it.
fn mark(line: &str) -> Option<Value> {
    let (json, _) = line.rsplit_once(' ')?;
    serde_json::from_str(json).ok()
}
