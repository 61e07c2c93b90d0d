//! bert-embed.
pub mod checkpoint;
pub mod error;
