//! Windows with their outputs → the records of whole texts.

use std::ops::Range;
use std::sync::Arc;

use crate::model::{Output, Outputs, RowPer};
use crate::pipeline::types::{EncodedBatch, FinishedBatch, TextWindow};
use crate::record::{Field, Record, RecordOrBad, TokenizedText, Word};
use crate::tokenize::{WordSpan, words};
use crate::vectors::{TextVectors, VectorOptions, WindowOutputs, all_finite, pool_rows};

/// Joins the windows of each text, which arrive one after the other.
pub(crate) struct Stitcher<'a> {
    options: &'a VectorOptions,
    /// The vectors of the text that is still missing windows.
    unfinished: TextVectors,
}

impl<'a> Stitcher<'a> {
    pub(crate) fn new(options: &'a VectorOptions) -> Self {
        Self {
            options,
            unfinished: TextVectors::default(),
        }
    }

    pub(crate) fn add(&mut self, batch: EncodedBatch) -> FinishedBatch {
        let EncodedBatch { windows, outputs } = batch;
        let mut finished = FinishedBatch::default();
        let mut rows = BatchRows::default();
        for window in windows.iter().flatten() {
            rows.all.add(window);
        }
        for window in windows {
            let window = match window {
                Ok(window) => window,
                Err(bad) => {
                    finished.records.push(Err(bad));
                    continue;
                }
            };
            self.add_window(&outputs, &window, &rows);
            rows.before.add(&window);
            if window.is_last() {
                let record = self.record(&window.text);
                if record.is_err() {
                    finished.without_vectors.push(Arc::clone(&window.text));
                }
                finished.records.push(record);
                finished.permits.extend(window.permit);
            }
        }
        finished
    }

    fn add_window<'o>(
        &mut self,
        outputs: &'o Outputs<Vec<f32>>,
        window: &TextWindow,
        rows: &BatchRows,
    ) {
        let values = |(output, values): (Output, &'o Vec<f32>)| {
            (output, rows.of_window(window, output, values))
        };
        let encoding = &window.text.encoding;
        let window = WindowOutputs {
            outputs: outputs.iter().map(values).collect(),
            tokens: window.window.kept.clone(),
            attended: encoding.attended,
            text_tokens: encoding.tokens(),
        };
        self.unfinished.add(&window, self.options);
    }

    /// The encoder's outputs are finite, but sums and dense layers may not be.
    fn record(&mut self, text: &Arc<TokenizedText>) -> RecordOrBad {
        let vectors = std::mem::take(&mut self.unfinished);
        let words = words_of(text, &vectors, self.options);
        let is_finite = |values: &Vec<f32>| all_finite(values);
        let not_finite = |field: Field| {
            let name = field.name();
            let cause = format!("`{name}` is not finite: a value is too large for f32");
            text.text.clone().refused(cause)
        };
        if !vectors.merged_layers.as_ref().is_none_or(is_finite) {
            return Err(not_finite(Field::HiddenStates));
        }
        let mut word_vectors = words.iter().filter_map(|word| word.vector.as_ref());
        if !word_vectors.all(is_finite) {
            return Err(not_finite(Field::Words));
        }
        let Some(embedding) = vectors.embedding(self.options) else {
            return Err(not_finite(Field::Embedding));
        };
        Ok(Record {
            words,
            text: Arc::clone(text),
            embedding,
            merged_layers: vectors.merged_layers,
            outputs: vectors.outputs,
        })
    }
}

/// The rows in the windows of a batch and in those before the current one.
#[derive(Default)]
struct BatchRows {
    all: RowCounts,
    before: RowCounts,
}

/// The rows in some windows.
#[derive(Default)]
struct RowCounts {
    tokens: usize,
    sequences: usize,
    token_pairs: usize,
}

impl RowCounts {
    fn add(&mut self, window: &TextWindow) {
        let tokens = window.tokens();
        self.tokens += tokens;
        self.sequences += 1;
        self.token_pairs += tokens * tokens;
    }

    fn of(&self, output: Output) -> usize {
        match output.row_per() {
            RowPer::Token => self.tokens,
            RowPer::Sequence => self.sequences,
            RowPer::TokenPair => self.token_pairs,
        }
    }
}

impl BatchRows {
    /// The part of `values` that the text takes from the current window.
    fn of_window<'a>(&self, window: &TextWindow, output: Output, values: &'a [f32]) -> &'a [f32] {
        let width = values.len() / self.all.of(output);
        let before = self.before.of(output);
        let Range { start, end } = rows_taken(window, output);
        &values[(before + start) * width..(before + end) * width]
    }
}

/// The rows of `window` that the text takes.
fn rows_taken(window: &TextWindow, output: Output) -> Range<usize> {
    let (kept, first) = (&window.window.kept, window.window.rows.start);
    match output.row_per() {
        RowPer::Token => kept.start - first..kept.end - first,
        RowPer::Sequence => 0..usize::from(window.window.is_first()),
        // No text of several windows gets this far with them.
        RowPer::TokenPair => 0..window.tokens() * window.tokens(),
    }
}

/// The words of a text with their vectors; none if they are not selected.
fn words_of(text: &TokenizedText, vectors: &TextVectors, options: &VectorOptions) -> Vec<Word> {
    let Some((mode, pooled)) = options.words else {
        return Vec::new();
    };
    let (rows, width) = (vectors.rows(pooled), options.width(pooled));
    let words = words(&text.text, &text.encoding).into_iter();
    let with_vector = |span: WordSpan| {
        let rows = &rows[span.tokens.start * width..span.tokens.end * width];
        Word {
            vector: (!rows.is_empty()).then(|| pool_rows(mode, rows, width)),
            span,
        }
    };
    words.map(with_vector).collect()
}
