//! How many vectors become one; the doc comments are the help.

#![allow(
    clippy::doc_markdown,
    reason = "the doc comments are the help, where backticks show"
)]

use clap::ValueEnum;
use serde::Serialize;

use super::sentence_transformer::{PoolingMode, SentenceTransformer};
use crate::model::Output;

/// How the layers of `hidden_states` become one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerMerge {
    /// They stay apart: `[layers][tokens][hidden]`
    #[default]
    None,
    /// Their mean: `[tokens][hidden]`
    Mean,
    /// Their sum: `[tokens][hidden]`
    Sum,
    /// One after the other: `[tokens][layers × hidden]`
    Concat,
}

/// How a text's tokens become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The vector of `[CLS]`
    Cls,
    /// The mean over the real tokens
    Mean,
    /// The largest value over the real tokens
    Max,
    /// pooler_output
    Pooler,
    /// As the model's modules.json says: the sentence vector of sentence-transformers
    Model,
}

/// The rows that are pooled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PooledRows {
    /// Those of an output of the encoder.
    Output(Output),
    /// Those of the layers that `layer_merge` makes one.
    MergedLayers,
}

/// Which vectors are made from the encoder's outputs for one text.
#[derive(Debug, Clone)]
pub(crate) struct VectorOptions {
    pub hidden_size: usize,
    /// The outputs of which a text keeps the rows; others are only pooled or merged.
    pub kept: Vec<Output>,
    /// Whether a text keeps the rows of the merged layers.
    pub keeps_merged: bool,
    /// How the layers of `hidden_states` become one.
    pub layer_merge: LayerMerge,
    /// Width of a row of the merged layers; `None` if they stay apart.
    pub merged_width: Option<usize>,
    pub pooling: Option<Pooling>,
    /// The rows that become `embedding`.
    pub pooled: Option<PooledRows>,
    /// What [`Pooling::Model`] does.
    pub sentence: Option<SentenceTransformer>,
    /// Tokens at the beginning of each text that are not pooled: a prompt's.
    pub prompt_tokens: usize,
    /// How many numbers of `embedding` are kept.
    pub truncate_dim: Option<usize>,
    /// Whether `embedding` is scaled to length 1.
    pub normalize: bool,
    /// How the vectors of `words` are made, and of which rows; a text keeps them.
    pub words: Option<(PoolingMode, PooledRows)>,
}

impl VectorOptions {
    /// The vectors that stand side by side in `embedding` before any layer changes them.
    pub(super) fn pooling_modes(&self) -> &[PoolingMode] {
        match (self.pooling, &self.sentence) {
            (Some(Pooling::Model), Some(sentence)) => &sentence.pooling_modes,
            // The pooler's output has one row.
            (Some(Pooling::Cls | Pooling::Pooler), _) => &[PoolingMode::First],
            (Some(Pooling::Mean), _) => &[PoolingMode::Mean],
            (Some(Pooling::Max), _) => &[PoolingMode::Max],
            (Some(Pooling::Model), None) | (None, _) => &[],
        }
    }

    /// Width of `rows`.
    pub(crate) fn width(&self, rows: PooledRows) -> usize {
        match rows {
            PooledRows::Output(_) => self.hidden_size,
            PooledRows::MergedLayers => self.merged_width.unwrap_or(self.hidden_size),
        }
    }

    /// Width of a vector of `words`.
    pub(crate) fn word_width(&self) -> usize {
        self.words
            .map_or(self.hidden_size, |(_, rows)| self.width(rows))
    }

    pub(crate) fn embedding_width(&self) -> usize {
        let whole = self.whole_width();
        self.truncate_dim.map_or(whole, |kept| kept.min(whole))
    }

    /// Width of `embedding` before it is truncated.
    pub(crate) fn whole_width(&self) -> usize {
        let pooled = self
            .pooled
            .map_or(self.hidden_size, |rows| self.width(rows));
        let sentence = self.sentence.as_ref();
        sentence.map_or(pooled, |it| it.width(pooled))
    }
}
