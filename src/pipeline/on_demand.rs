//! Texts of an iterator, embedded on the caller's thread, one batch at a time.
//!
//! The library has no threads for reading and writing: its caller does both. Memory is bounded by
//! the tokens of one chunk of texts and the outputs of one batch.

use std::sync::Arc;
use std::sync::mpsc::channel;

use crate::error::Result;
use crate::input::{Text, TextOrBad};
use crate::pipeline::batch::{Plan, pack};
use crate::pipeline::budget::ByteBudget;
use crate::pipeline::compute::ThreadedModel;
use crate::pipeline::encode::encode;
use crate::pipeline::read::TEXTS_AHEAD;
use crate::pipeline::stitch::Stitcher;
use crate::pipeline::stop::Stop;
use crate::pipeline::types::{QueuedText, WindowBatch};
use crate::record::{RecordOrBad, TokenizedText};
use crate::tokenize::Padding;
use crate::vectors::VectorOptions;

/// A chunk of texts ends at this many bytes for each token of a batch: enough for a few batches,
/// since a token is 4 bytes of English.
const CHUNK_BYTES_PER_BATCH_TOKEN: usize = 64;

/// Embeds the texts of an iterator as their records are requested.
pub(crate) struct OnDemand<'a, I> {
    texts: I,
    index: u64,
    forward: ThreadedModel<'a>,
    plan: Plan<'a>,
    stitcher: Stitcher<'a>,
    batches: std::vec::IntoIter<WindowBatch>,
}

impl<'a, I: Iterator<Item = Text>> OnDemand<'a, I> {
    pub(crate) fn new(
        texts: I,
        forward: ThreadedModel<'a>,
        plan: Plan<'a>,
        vectors: &'a VectorOptions,
    ) -> Self {
        Self {
            texts,
            index: 0,
            forward,
            plan,
            stitcher: Stitcher::new(vectors),
            batches: Vec::new().into_iter(),
        }
    }

    /// The records that the next batch completes; `None` if no text is left.
    ///
    /// # Errors
    /// An error of the tokenizer, the model or the device.
    pub(crate) fn next_records(&mut self) -> Result<Option<Vec<RecordOrBad>>> {
        loop {
            if let Some(batch) = self.batches.next() {
                return self.encode(batch).map(Some);
            }
            let chunk = self.chunk();
            if chunk.is_empty() {
                return Ok(None);
            }
            self.batches = self.pack(chunk)?.into_iter();
        }
    }

    /// The next texts, as many as are tokenized at once.
    fn chunk(&mut self) -> Vec<Text> {
        let is_all = self.plan.tokenizer.options.padding == Padding::Longest;
        let max_bytes = CHUNK_BYTES_PER_BATCH_TOKEN.saturating_mul(self.plan.batch_tokens);
        let (mut chunk, mut bytes) = (Vec::new(), 0);
        while is_all || (bytes < max_bytes && chunk.len() < TEXTS_AHEAD) {
            let Some(mut text) = self.texts.next() else {
                break;
            };
            text.place.index = self.index;
            self.index += 1;
            bytes += text.size_bytes();
            chunk.push(text);
        }
        chunk
    }

    fn pack(&self, chunk: Vec<Text>) -> Result<Vec<WindowBatch>> {
        let (to, queued) = channel();
        for text in queued_texts(chunk) {
            // This cannot fail: the receiver is in scope.
            let _ = to.send(Ok(text));
        }
        drop(to);
        let mut batches = Vec::new();
        let send = |batch| {
            batches.push(batch);
            true
        };
        pack(self.plan, &queued, send, &Stop::default())?;
        Ok(batches)
    }

    fn encode(&mut self, batch: WindowBatch) -> Result<Vec<RecordOrBad>> {
        let (to, batches) = channel();
        let _ = to.send(batch);
        drop(to);
        let mut records = Vec::new();
        let keep = |batch| {
            records.extend(self.stitcher.add(batch).records);
            true
        };
        let forward = self.forward;
        let start = |windows: &WindowBatch| forward.start(windows);
        encode(start, &batches, keep, &Stop::default())?;
        Ok(records)
    }
}

/// Tokenizes `texts`, all in memory at once, as a run does before it encodes them.
///
/// # Errors
/// An error of the tokenizer.
pub(crate) fn tokenize(
    texts: impl Iterator<Item = Text>,
    plan: Plan,
) -> Result<Vec<TextOrBad<TokenizedText>>> {
    let texts = (0..).zip(texts).map(|(index, mut text)| {
        text.place.index = index;
        text
    });
    let queued = queued_texts(texts).map(Ok).collect();
    let tokenized = plan.tokenize_all(queued).into_iter();
    let mut tokenized: Vec<_> = tokenized
        .map(|queued| Ok(queued?.text))
        .collect::<Result<_>>()?;
    if plan.tokenizer.options.padding == Padding::Longest {
        plan.tokenizer.pad_to_longest(&mut tokenized);
    }
    Ok(tokenized)
}

/// `texts` as the tokenizer takes them. The caller bounds their bytes.
fn queued_texts(texts: impl IntoIterator<Item = Text>) -> impl Iterator<Item = QueuedText<Text>> {
    let budget = Arc::default();
    texts.into_iter().map(move |text| QueuedText {
        text: Ok(text),
        permit: ByteBudget::take(&budget, 0),
    })
}
