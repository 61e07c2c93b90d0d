//! The progress bar of a download, and the watchdog that ends a transfer that stalls or is too
//! long.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use hf_hub::progress::{DownloadEvent, ProgressEvent, ProgressHandler};
use indicatif::ProgressBar;

use crate::notes;

/// Fewer bytes than this within the read timeout count as silence: a hub that sends one byte a
/// second would otherwise keep this program busy for years.
const MIN_BYTES: u64 = 1024;

pub(super) struct Transfer {
    received: AtomicU64,
    bar: ProgressBar,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TransferEnd {
    Silent,
    /// More bytes came than were announced or are allowed.
    TooLong,
}

impl Transfer {
    pub(super) fn new(file: &str, size_bytes: Option<u64>, draw: bool) -> Arc<Self> {
        let template = "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        let bar = notes::bar(draw, Some(size_bytes.unwrap_or(0)), template);
        bar.set_message(file.to_owned());
        Arc::new(Self {
            received: AtomicU64::new(0),
            bar,
        })
    }

    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Awaits `transfer` while at least [`MIN_BYTES`] arrive in each `silence`, and at most
    /// `max_bytes` in all, which is checked after each chunk.
    pub(super) async fn watch<T>(
        &self,
        silence: Duration,
        max_bytes: u64,
        transfer: impl Future<Output = T>,
    ) -> Result<T, TransferEnd> {
        let mut transfer = pin!(transfer);
        let limited = poll_fn(|context| {
            let polled = transfer.as_mut().poll(context).map(Ok);
            if self.received() > max_bytes {
                return Poll::Ready(Err(TransferEnd::TooLong));
            }
            polled
        });
        let mut limited = pin!(limited);
        let mut since = (Instant::now(), 0);
        loop {
            if let Ok(output) = tokio::time::timeout(silence / 30, limited.as_mut()).await {
                self.bar.finish_and_clear();
                return output;
            }
            let received = self.received();
            if received >= since.1 + MIN_BYTES {
                since = (Instant::now(), received);
            } else if since.0.elapsed() >= silence {
                return Err(TransferEnd::Silent);
            }
        }
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl ProgressHandler for Transfer {
    fn on_progress(&self, event: &ProgressEvent) {
        let bytes = match event {
            ProgressEvent::Download(DownloadEvent::Progress { files }) => {
                files.iter().map(|file| file.bytes_completed).sum()
            }
            ProgressEvent::Download(DownloadEvent::AggregateProgress {
                bytes_completed, ..
            }) => *bytes_completed,
            _ => return,
        };
        self.received.store(bytes, Ordering::Relaxed);
        self.bar.set_position(bytes);
    }
}
