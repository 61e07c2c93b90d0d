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

/// What is made of the encoder's outputs for one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VectorOptions {
    /// Width of a row.
    pub hidden_size: usize,
    /// Whether all rows of `last_hidden_state` are kept; pooling alone needs no more than one.
    pub keep_rows: bool,
    /// How the layers of `hidden_states` become one.
    pub layer_merge: LayerMerge,
    /// Width of a row of the merged layers; `None` if they stay apart.
    pub merged_width: Option<usize>,
    /// How `embedding` is made.
    pub pooling: Option<Pooling>,
    /// Whether `embedding` is scaled to length 1.
    pub normalize: bool,
    /// How the vectors of `words` are made.
    pub word_pooling: Option<WordPooling>,
}
