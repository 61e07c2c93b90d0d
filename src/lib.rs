//! bert-embed.
pub mod error;
