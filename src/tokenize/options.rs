//! What happens to texts that are too long or too short; the doc comments are the help.

#![allow(
    clippy::doc_markdown,
    reason = "the doc comments are the help, where backticks show"
)]

use clap::ValueEnum;
use serde::Serialize;

use super::Detail;

/// How the texts of a run become tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenOptions {
    /// What the records need besides ids.
    pub detail: Detail,
    /// The most tokens in a record, or in a window.
    pub max_length: usize,
    /// What happens to a text that is longer.
    pub on_long: OnLong,
    /// The number of tokens that consecutive windows share.
    pub stride: usize,
    /// How far records are padded.
    pub padding: Padding,
    /// How many segments the model tells apart; `None` if it ignores them.
    pub type_vocab_size: Option<usize>,
}

/// What happens to a text of more tokens than a record may have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnLong {
    /// It is cut; the record says how many tokens were dropped
    #[default]
    Truncate,
    /// Its record is an error
    Error,
    /// It is split into windows of --max-length tokens that overlap by --stride: each of its tokens
    /// is taken from the window in which it has most context, `pooler_output` from the first one. A
    /// pair that does not fit is an error; not with --padding or --format json, because such a
    /// record is longer than --max-length
    Window,
}

/// How far records are padded with `[PAD]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Padding {
    /// Not at all
    #[default]
    None,
    /// To the longest record of the whole input
    Longest,
    /// To --max-length
    MaxLength,
}
