//! Windows with their outputs → whole texts with their vectors, and the record of each.

use std::ops::Range;

use crate::input::TextOrBad;
use crate::pipeline::types::{BatchOutputs, EncodedBatch, FinishedText, TextWindow, TokenizedText};
use crate::record::{LayerOutputs, Record, Word};
use crate::tokenize::{WordSpan, words};
use crate::vectors::{TextVectors, VectorOptions, WindowRows, pool_word};

/// Puts the windows of each text together; they arrive one after the other.
pub(crate) struct Stitcher<'a> {
    pub(crate) options: &'a VectorOptions,
    /// The text whose next window is awaited.
    unfinished: TextVectors,
}

impl<'a> Stitcher<'a> {
    pub(crate) fn new(options: &'a VectorOptions) -> Self {
        Self {
            options,
            unfinished: TextVectors::default(),
        }
    }

    /// The texts that `batch` completes.
    pub(crate) fn add(&mut self, batch: EncodedBatch) -> Vec<TextOrBad<FinishedText>> {
        let EncodedBatch { windows, outputs } = batch;
        let mut finished = Vec::new();
        let mut place = 0;
        for window in windows {
            let window = match window {
                Ok(window) => window,
                Err(bad) => {
                    finished.push(Err(bad));
                    continue;
                }
            };
            let rows = outputs.rows_of(&window, place, self.options.hidden_size);
            let tokens = window.of.encoding.tokens();
            self.unfinished.add(&rows, tokens, self.options);
            place += 1;
            if window.is_last() {
                finished.push(Ok(FinishedText {
                    of: window.of,
                    vectors: std::mem::take(&mut self.unfinished),
                }));
            }
        }
        finished
    }
}

impl BatchOutputs {
    /// The rows that the text takes from `window`, which is good window number `place` of the
    /// batch.
    fn rows_of<'a>(&'a self, window: &TextWindow, place: usize, hidden: usize) -> WindowRows<'a> {
        let TextWindow { of, window } = window;
        let first_row = self.first_rows[place] + (window.kept.start - window.rows.start);
        let kept = first_row * hidden..(first_row + window.kept.len()) * hidden;
        let outputs = &self.outputs;
        let of_first = window
            .is_first()
            .then_some(place * hidden..(place + 1) * hidden);
        let cut = |(rows, range): (&'a Vec<f32>, Range<usize>)| &rows[range];
        let first_tokens = outputs.first_tokens.as_ref().zip(of_first.clone());
        let all_tokens = outputs.last_hidden_state.as_ref().zip(Some(kept.clone()));
        let last_hidden_state = first_tokens.or(all_tokens).map(cut);
        let hidden_states = outputs.hidden_states.iter();
        WindowRows {
            attended: of.encoding.attended.saturating_sub(window.kept.start),
            last_hidden_state: last_hidden_state.unwrap_or_default(),
            hidden_states: hidden_states.map(|rows| &rows[kept.clone()]).collect(),
            attentions: self.attentions_of(window.rows.len(), place),
            pooler_output: outputs.pooler_output.as_ref().zip(of_first).map(cut),
        }
    }

    /// The attentions of good window number `place`, which has `tokens` tokens: one slice per
    /// layer.
    fn attentions_of(&self, tokens: usize, place: usize) -> Vec<&[f32]> {
        let (before, pairs) = (self.pairs_before[place], tokens * tokens);
        let of_layer = |layer: &Vec<f32>| {
            let heads = layer.len() / self.pairs.max(1);
            before * heads..(before + pairs) * heads
        };
        let layers = self.outputs.attentions.iter();
        layers.map(|layer| &layer[of_layer(layer)]).collect()
    }
}

impl FinishedText {
    /// The text's record.
    pub(crate) fn record(&self, options: &VectorOptions) -> Record<'_> {
        let Self { of, vectors } = self;
        let layers: Vec<_> = vectors.hidden_states.iter().map(Vec::as_slice).collect();
        Record {
            text: &of.text,
            encoding: &of.encoding,
            hidden: options.hidden_size,
            last_hidden_state: &vectors.last_hidden_state,
            pooler_output: vectors.pooler_output.as_deref(),
            hidden_states: match (options.merged_width, &layers[..]) {
                (Some(width), [rows]) => LayerOutputs::Merged { rows, width },
                _ => LayerOutputs::Apart(layers),
            },
            attentions: vectors.attentions.iter().map(Vec::as_slice).collect(),
            embedding: vectors.embedding(options),
            words: words_of(of, vectors, options),
        }
    }
}

/// The words of a text with their vectors; none if they were not asked for.
fn words_of(of: &TokenizedText, vectors: &TextVectors, options: &VectorOptions) -> Vec<Word> {
    let Some(how) = options.word_pooling else {
        return Vec::new();
    };
    let (rows, hidden) = (&vectors.last_hidden_state, options.hidden_size);
    let vector = |tokens: &Range<usize>| {
        let rows = &rows[tokens.start * hidden..tokens.end * hidden];
        pool_word(how, rows, hidden)
    };
    let words = words(&of.text, &of.encoding).into_iter();
    let with_vector = |of: WordSpan| Word {
        vector: vector(&of.tokens),
        of,
    };
    words.map(with_vector).collect()
}
