//! The progress of a download: its bar, and whether it stalls.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use crate::notes;

/// Fewer bytes than this within the read timeout count as silence: a hub that sends one byte a
/// second would otherwise keep this program busy for years.
const MIN_BYTES: u64 = 1024;

pub(super) struct Transfer {
    pub(super) received: u64,
    /// When the last [`MIN_BYTES`] had arrived, and how many bytes in all.
    since: (Instant, u64),
    bar: ProgressBar,
}

impl Transfer {
    pub(super) fn new(file: &str, size_bytes: Option<u64>, draw: bool) -> Self {
        let template = "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        let bar = notes::bar(draw, Some(size_bytes.unwrap_or(0)), template);
        bar.set_message(file.to_owned());
        Self {
            received: 0,
            since: (Instant::now(), 0),
            bar,
        }
    }

    pub(super) fn add(&mut self, bytes: usize) {
        self.received += bytes as u64;
        self.bar.set_position(self.received);
    }

    /// Whether fewer than [`MIN_BYTES`] arrived within `silence`.
    pub(super) fn is_silent(&mut self, silence: Duration) -> bool {
        if self.received >= self.since.1 + MIN_BYTES {
            self.since = (Instant::now(), self.received);
        }
        self.since.0.elapsed() >= silence
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
