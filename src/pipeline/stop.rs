//! The request to stop: set from outside, read by every stage that loops over texts or batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The longest that a blocked thread may take to notice a request to stop.
pub(crate) const POLL: Duration = Duration::from_millis(50);

/// How a stage of the run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Complete,
    Stopped,
}

impl Ending {
    /// Complete if both are.
    pub(crate) fn and(self, other: Self) -> Self {
        match self {
            Self::Complete => other,
            Self::Stopped => self,
        }
    }
}

/// Whether the run should stop; clones share the state.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    asked: Arc<AtomicBool>,
    abandoned: Arc<AtomicBool>,
}

impl Stop {
    /// A request that is made by setting `asked`.
    pub(crate) fn new(asked: Arc<AtomicBool>) -> Self {
        Self {
            asked,
            abandoned: Arc::default(),
        }
    }

    /// Whether the run was asked to stop.
    pub(crate) fn asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// Tells the earlier stages that their work is no longer needed.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::SeqCst);
    }

    /// Whether to stop, because of a request or because later stages have stopped.
    pub(crate) fn is_over(&self) -> bool {
        self.asked() || self.abandoned.load(Ordering::SeqCst)
    }
}
