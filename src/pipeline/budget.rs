//! The bytes of text that may be in the pipeline at once.
//!
//! A text counts from the moment it is read until its record is written. This bounds memory both
//! for 512 lines of 16 MiB and for an output that is read slowly.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Two lines of 16 MiB, the longest that are read, or about 100,000 sentences. One text always
/// fits.
pub(crate) const MAX_BYTES: u64 = 32 << 20;

/// How many bytes of text are in the pipeline, and how many have passed through it.
#[derive(Debug, Default)]
pub(crate) struct ByteBudget {
    bytes: Mutex<Bytes>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Bytes {
    in_use: u64,
    finished: u64,
}

/// The bytes of one text, returned to the budget when it is dropped.
#[derive(Debug)]
pub(crate) struct BytePermit {
    budget: Arc<ByteBudget>,
    size_bytes: u64,
}

impl ByteBudget {
    /// Waits until `size_bytes` more may enter the pipeline.
    pub(crate) fn take(self: &Arc<Self>, size_bytes: u64) -> BytePermit {
        let is_full = |bytes: &mut Bytes| bytes.in_use > 0 && bytes.in_use + size_bytes > MAX_BYTES;
        let mut bytes = self
            .changed
            .wait_while(self.bytes(), is_full)
            .unwrap_or_else(PoisonError::into_inner);
        bytes.in_use += size_bytes;
        BytePermit {
            budget: Arc::clone(self),
            size_bytes,
        }
    }

    /// The bytes of the texts that have their record.
    pub(crate) fn finished_bytes(&self) -> u64 {
        self.bytes().finished
    }

    /// The bytes of the texts that are in the pipeline.
    #[cfg(test)]
    pub(crate) fn bytes_in_use(&self) -> u64 {
        self.bytes().in_use
    }

    /// The counts are right even if the lock is poisoned: nothing can panic while they change.
    fn bytes(&self) -> MutexGuard<'_, Bytes> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for BytePermit {
    fn drop(&mut self) {
        let mut bytes = self.budget.bytes();
        bytes.in_use -= self.size_bytes;
        bytes.finished += self.size_bytes;
        self.budget.changed.notify_one();
    }
}
