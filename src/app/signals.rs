//! SIGINT and SIGTERM: the first signal asks the run to stop, the second exits immediately.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::error::exit;
use crate::pipeline::Stop;

/// The signal handlers of this process, and the signal they caught.
#[derive(Debug, Default)]
pub(super) struct Signals {
    caught: Arc<AtomicBool>,
    exit_code: Arc<AtomicUsize>,
}

impl Signals {
    /// Installs the handlers. A signal that the parent process ignores (`nohup`, a shell's `&`)
    /// stays ignored.
    pub(super) fn listen() -> io::Result<Self> {
        let signals = Self::default();
        for (signal, exit_code) in [(SIGINT, exit::INTERRUPTED), (SIGTERM, exit::TERMINATED)] {
            if is_ignored(signal) {
                continue;
            }
            // In this order: the shutdown must see the flag as the previous signal left it.
            let caught = || Arc::clone(&signals.caught);
            flag::register_conditional_shutdown(signal, exit_code.into(), caught())?;
            flag::register_usize(signal, Arc::clone(&signals.exit_code), exit_code.into())?;
            flag::register(signal, caught())?;
        }
        Ok(signals)
    }

    /// Requests a stop once a signal has arrived.
    pub(super) fn stop(&self) -> Stop {
        Stop::new(Arc::clone(&self.caught))
    }

    /// The exit code of the signal: 128 plus its number.
    pub(super) fn exit_code(&self) -> u8 {
        self.exit_code.load(Ordering::SeqCst) as u8
    }
}

fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action the call only fills in `action`, which is read only if the call
    // succeeded.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}
