//! Calls into the tokenizers crate, which panics on some file contents: a panic becomes an error.

use anyhow::anyhow;

/// Runs `work`; a panic in it prints nothing and becomes an error.
///
/// # Errors
/// Those of `work`; `work` panics.
pub(super) fn guarded<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    crate::guard::guarded(work)
        .unwrap_or_else(|| Err(anyhow!("the tokenizer failed on what the file holds")))
}
