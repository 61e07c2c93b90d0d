//! How one vector is made of many; the doc comments are the help.

#![allow(
    clippy::doc_markdown,
    reason = "the doc comments are the help, where backticks show"
)]

use clap::ValueEnum;

/// How the layers of `hidden_states` become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LayerMerge {
    /// They stay apart: `[layers][tokens][hidden]`
    None,
    /// Their mean: `[tokens][hidden]`
    Mean,
    /// Their sum: `[tokens][hidden]`
    Sum,
    /// One behind the other: `[tokens][layers × hidden]`
    Concat,
}

/// How one vector is made of a text's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Pooling {
    /// The vector of `[CLS]`
    Cls,
    /// The mean over the real tokens
    Mean,
    /// The largest value over the real tokens
    Max,
    /// pooler_output
    Pooler,
}

/// How one vector is made of a word's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WordPooling {
    /// The vector of its first token
    First,
    /// The vector of its last token
    Last,
    /// The mean over its tokens
    Mean,
    /// The largest value over its tokens
    Max,
    /// The sum over its tokens
    Sum,
}
