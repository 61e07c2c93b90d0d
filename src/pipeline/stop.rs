//! SIGINT and SIGTERM: the first asks the run to stop, the second ends the process at once.
//!
//! Owns the handlers. Whoever loops over texts or batches asks [`Stop::asked`].

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// How long a thread that waits for something else may be deaf to a signal.
pub const POLL: Duration = Duration::from_millis(50);

/// Whether a part of the run came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Nothing is left to do.
    Complete,
    /// A signal came first.
    Stopped,
}

impl Ending {
    /// Complete if both are.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match self {
            Self::Complete => other,
            Self::Stopped => self,
        }
    }
}

/// Whether somebody wants the run to stop.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    exit_code: Arc<AtomicUsize>,
}

impl Stop {
    /// Listens to SIGINT and SIGTERM from now on. One that the parent has set to be ignored
    /// (`nohup`, a shell's `&`) stays ignored.
    ///
    /// # Errors
    /// The system refuses a handler.
    pub fn on_signals() -> io::Result<Self> {
        let stop = Self::default();
        for (signal, exit_code) in [(SIGINT, 130_u8), (SIGTERM, 143)] {
            if is_ignored(signal) {
                continue;
            }
            // The order matters: the shutdown sees the flag as the signal before has left it.
            let asked = || Arc::clone(&stop.asked);
            flag::register_conditional_shutdown(signal, exit_code.into(), asked())?;
            flag::register_usize(signal, Arc::clone(&stop.exit_code), exit_code.into())?;
            flag::register(signal, asked())?;
        }
        Ok(stop)
    }

    /// Whether a signal has come.
    #[must_use]
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// The exit code that tells the signal: 128 and its number.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        self.exit_code.load(Ordering::SeqCst) as u8
    }
}

/// Whether the parent has set `signal` to be ignored.
fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action the call only fills `action` in, which is read where it says so.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}
