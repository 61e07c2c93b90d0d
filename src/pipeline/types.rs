//! The types that travel between the threads, in the order in which a text passes through them:
//! [`QueuedText`], [`TextWindow`], [`EncodedBatch`], [`FinishedBatch`].

use std::sync::Arc;

use crate::input::TextOrBad;
use crate::model::Outputs;
use crate::pipeline::budget::BytePermit;
use crate::record::{Record, TokenizedText};
use crate::tokenize::Window;

/// A text before or after the tokenizer.
pub(crate) struct QueuedText<T> {
    pub(crate) text: TextOrBad<T>,
    /// Its part of the bytes that may be in the pipeline.
    pub(crate) permit: BytePermit,
}

/// The part of a text that the encoder takes at once: all of it, or one window of a long text.
pub(crate) struct TextWindow {
    pub(crate) text: Arc<TokenizedText>,
    pub(crate) window: Window,
    /// The text's permit, held by its last window; `None` if all texts must be in memory at once.
    pub(crate) permit: Option<BytePermit>,
}

/// Windows of texts in input order, with the bad texts among them.
pub(crate) type WindowBatch = Vec<TextOrBad<TextWindow>>;

/// A batch with its outputs in host memory.
pub(crate) struct EncodedBatch {
    pub(crate) windows: WindowBatch,
    /// One sequence for each good window; empty if there is none.
    pub(crate) outputs: Outputs<Vec<f32>>,
}

#[derive(Default)]
pub(crate) struct FinishedBatch {
    pub(crate) records: Vec<TextOrBad<Record>>,
    /// The texts whose record is an error because a vector is not finite.
    pub(crate) without_vectors: Vec<Arc<TokenizedText>>,
    /// The texts' permits, held until the records are written.
    pub(crate) permits: Vec<BytePermit>,
}

impl TextWindow {
    /// The number of tokens that the encoder computes.
    pub(crate) fn tokens(&self) -> usize {
        self.window.rows.len()
    }

    /// Whether the text is complete after this window.
    pub(crate) fn is_last(&self) -> bool {
        self.window.kept.end == self.text.encoding.tokens()
    }
}

/// The number of tokens in a batch.
pub(crate) fn batch_tokens(windows: &WindowBatch) -> usize {
    windows.iter().flatten().map(TextWindow::tokens).sum()
}
