//! Reading ahead of the tokenizer, bounded in texts and in bytes.
//!
//! Owns the thread that reads and the count of bytes on their way. A text's bytes count from its
//! reading to its record, so neither 512 lines of 16 MiB nor a slow reader of the output fill the
//! memory.

use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::Result;
use crate::input::{BadText, Text, Texts};

/// Texts that may wait for the tokenizer; a few hundred keep every thread busy.
pub const TEXTS_AHEAD: usize = 512;

/// Bytes of text between reader and writer, but one text always fits: two lines of 16 MiB, the
/// longest there are, or some 100,000 sentences.
const BYTES_AHEAD: u64 = 32 << 20;

/// One text on its way, good or bad.
pub struct Arrival {
    /// The text as it was read.
    pub text: std::result::Result<Text, BadText>,
    /// Its share of the bytes that may be on their way.
    pub share: Share,
}

/// Bytes of text that are on their way, and those that have arrived.
#[derive(Debug, Default)]
pub struct Flow {
    bytes: Mutex<Bytes>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Bytes {
    on_their_way: u64,
    arrived: u64,
}

/// The bytes of one text; dropped with it, they have arrived.
#[derive(Debug)]
pub struct Share {
    flow: Arc<Flow>,
    size_bytes: u64,
}

impl Flow {
    /// Bytes of the texts that have their record.
    #[must_use]
    pub fn arrived_bytes(&self) -> u64 {
        self.bytes().arrived
    }

    /// No panic can happen while the counts are locked, so they are right even if one did.
    fn bytes(&self) -> MutexGuard<'_, Bytes> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `size_bytes` more may be on their way.
    fn share(self: &Arc<Self>, size_bytes: u64) -> Share {
        let full = |bytes: &mut Bytes| {
            bytes.on_their_way > 0 && bytes.on_their_way + size_bytes > BYTES_AHEAD
        };
        let mut bytes = self
            .changed
            .wait_while(self.bytes(), full)
            .unwrap_or_else(PoisonError::into_inner);
        bytes.on_their_way += size_bytes;
        Share {
            flow: Arc::clone(self),
            size_bytes,
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut bytes = self.flow.bytes();
        bytes.on_their_way -= self.size_bytes;
        bytes.arrived += self.size_bytes;
        self.flow.changed.notify_one();
    }
}

/// Sends `texts` to `to` until the end, an error, or until nobody takes them any more.
pub fn read(texts: Texts, to: &SyncSender<Result<Arrival>>, flow: &Arc<Flow>) {
    for line in texts.lines {
        let arrival = line.map(|line| Arrival {
            share: flow.share(line.size_bytes),
            text: line.text,
        });
        if to.send(arrival).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Line;
    use std::sync::mpsc::sync_channel;

    #[test]
    fn no_more_is_read_than_may_be_on_its_way() {
        const LINE_BYTES: u64 = 16 << 20;
        let line = || {
            Ok(Line {
                text: Ok(Text::new("x".to_owned())),
                size_bytes: LINE_BYTES,
            })
        };
        let texts = Texts {
            lines: Box::new((0..9).map(move |_| line())),
            size_bytes: None,
        };
        let flow = Arc::new(Flow::default());
        let (to, from) = sync_channel(TEXTS_AHEAD);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                read(texts, &to, &flow);
                drop(to);
            });
            let mut kept = Vec::new();
            for arrival in &from {
                kept.push(arrival);
                let on_their_way = flow.bytes().on_their_way;
                assert!(on_their_way <= BYTES_AHEAD, "{on_their_way}");
                if kept.len() == 2 {
                    kept.clear();
                }
            }
        });
        assert_eq!(flow.arrived_bytes(), 9 * LINE_BYTES);
    }
}
