//! The types that travel between the threads, in the order of a text's way: [`QueuedText`],
//! [`TokenizedText`], [`TextWindow`], [`EncodedBatch`], [`FinishedText`].

use std::sync::Arc;

use crate::input::{Text, TextOrBad};
use crate::model::Outputs;
use crate::pipeline::budget::BytePermit;
use crate::tokenize::{Encoding, Window};
use crate::vectors::TextVectors;

/// One text between the reader and the tokenizer.
pub(crate) struct QueuedText {
    /// The text as it was read.
    pub(crate) text: TextOrBad<Text>,
    /// Its part of the bytes that may be in the pipeline.
    pub(crate) permit: BytePermit,
}

/// One text with its tokens.
pub(crate) struct TokenizedText {
    /// The text as it was read.
    pub(crate) text: Text,
    /// Its tokens, as the record shows them.
    pub(crate) encoding: Encoding,
    /// Held until the text has its record; `None` if all texts must be in memory at once.
    pub(crate) _permit: Option<BytePermit>,
}

/// The part of a text that the encoder takes at once: all of it, or one window of a long text.
pub(crate) struct TextWindow {
    /// The text.
    pub(crate) of: Arc<TokenizedText>,
    /// The rows of the text that the window covers.
    pub(crate) window: Window,
}

/// Windows of texts in input order, with the bad texts among them.
pub(crate) type WindowBatch = Vec<TextOrBad<TextWindow>>;

/// What the encoder computed for one batch, in host memory unless `T` says otherwise.
#[derive(Default)]
pub(crate) struct BatchOutputs<T = Vec<f32>> {
    /// The first row of each window.
    pub(crate) first_rows: Vec<usize>,
    /// The pairs of tokens in the windows before each window.
    pub(crate) pairs_before: Vec<usize>,
    /// The pairs of tokens in all windows.
    pub(crate) pairs: usize,
    /// The outputs of the model, with a sequence for each window; none if there is no window.
    pub(crate) outputs: Outputs<T>,
}

/// A batch with its outputs.
pub(crate) struct EncodedBatch {
    /// In input order.
    pub(crate) windows: WindowBatch,
    /// Those of the good windows.
    pub(crate) outputs: BatchOutputs,
}

/// One text with all its vectors.
pub(crate) struct FinishedText {
    /// The text.
    pub(crate) of: Arc<TokenizedText>,
    /// Its vectors.
    pub(crate) vectors: TextVectors,
}

impl TextWindow {
    /// The number of tokens that the encoder computes.
    pub(crate) fn tokens(&self) -> usize {
        self.window.rows.len()
    }

    /// Whether the text is complete after this window.
    pub(crate) fn is_last(&self) -> bool {
        self.window.kept.end == self.of.encoding.tokens()
    }
}

/// The number of tokens in a batch.
pub(crate) fn batch_tokens(windows: &WindowBatch) -> usize {
    windows.iter().flatten().map(TextWindow::tokens).sum()
}
