//! Calls into the tokenizers crate, which panics on some file contents: a panic becomes an error.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use anyhow::anyhow;

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`. A panic in it prints nothing and is an error.
///
/// # Errors
/// Those of `work`; `work` panics.
pub(super) fn guarded<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(silence_guarded_threads);
    let outer = IS_GUARDED.replace(true);
    // What a panic leaves half done is dropped with the tokenizer: its error ends the run.
    let result = catch_unwind(AssertUnwindSafe(work));
    IS_GUARDED.set(outer);
    result.unwrap_or_else(|_| Err(anyhow!("the tokenizer failed on what the file holds")))
}

/// Keeps the panic message of a guarded thread off standard error; other threads panic as before.
fn silence_guarded_threads() {
    let previous = take_hook();
    set_hook(Box::new(move |panic| {
        if !IS_GUARDED.get() {
            previous(panic);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_and_the_next_call_works() {
        let failed: anyhow::Result<()> = guarded(|| panic!("as the crate does"));
        assert!(failed.is_err());
        assert_eq!(guarded(|| Ok(1)).ok(), Some(1));
    }
}
