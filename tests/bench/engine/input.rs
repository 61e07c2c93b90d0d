//! Token ids as the driver wrote them: a list of batches, each a list of sequences.

use anyhow::Result;

/// Batches of sequences of token ids.
pub(crate) type Batches = Vec<Vec<Vec<u32>>>;

/// The batches in the JSON file at `path`.
pub(crate) fn read(path: &str) -> Result<Batches> {
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}
