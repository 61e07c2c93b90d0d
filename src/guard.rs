//! Calls into crates that panic on some file contents: the panic prints nothing and becomes `None`.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Returns `None` if `work` panics; what the panic leaves half done must not be used again.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(silence_guarded_threads);
    let outer = IS_GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    IS_GUARDED.set(outer);
    result.ok()
}

/// Other threads still print their panics.
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
    fn a_panic_is_none_and_the_next_call_works() {
        assert_eq!(guarded(|| -> i32 { panic!("as a crate does") }), None);
        assert_eq!(guarded(|| 1), Some(1));
    }
}
