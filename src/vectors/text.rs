//! The vectors of one text, collected window by window.
//!
//! A text that fits has a single window. The result does not depend on how the text is split into
//! windows: rows are kept, pooled and merged in order, one after the other.

use std::ops::Range;

use super::options::{LayerMerge, PooledRows, VectorOptions};
use super::pooling::{Pool, all_finite, merge, normalize};
use super::sentence;
use crate::model::{Outputs, RowPer};

/// What a text takes from one window.
pub(crate) struct WindowOutputs<'a> {
    /// Rows of [`WindowOutputs::tokens`]. An output with one row per sequence is empty in every
    /// window but the first.
    pub outputs: Outputs<&'a [f32]>,
    pub tokens: Range<usize>,
    /// The real tokens of the whole text, which come before its padding.
    pub attended: usize,
    pub text_tokens: usize,
}

#[derive(Debug, Default)]
pub(crate) struct TextVectors {
    /// The outputs that are kept, with a row for every token of the text.
    pub outputs: Outputs<Vec<f32>>,
    /// `[tokens × merged width]`; `None` if no merged layers are kept.
    pub merged_layers: Option<Vec<f32>>,
    /// One for each pooling mode.
    pools: Vec<Pool>,
}

impl TextVectors {
    pub(crate) fn add(&mut self, window: &WindowOutputs, options: &VectorOptions) {
        if window.tokens.start == 0 {
            let kept = window.outputs.iter().map(|(output, _)| output);
            let kept = kept.filter(|output| options.kept.contains(output));
            self.outputs = kept.map(|output| (output, Vec::new())).collect();
            let modes = options.pooling_modes().iter();
            let pool = |&mode| Pool::new(mode, options.prompt_tokens);
            self.pools = modes.map(pool).collect();
        }
        let kept = window
            .outputs
            .iter()
            .filter(|(output, _)| options.kept.contains(output));
        for ((output, rows), (_, more)) in self.outputs.iter_mut().zip(kept) {
            match output.row_per() {
                RowPer::Token => window.extend(rows, more),
                RowPer::Sequence | RowPer::TokenPair => rows.extend_from_slice(more),
            }
        }
        let merged = window.merged_layers(options.layer_merge);
        if let Some(rows) = options.pooled {
            let values = match rows {
                PooledRows::Output(output) => window.outputs.get(output).copied(),
                PooledRows::MergedLayers => merged.as_deref(),
            };
            let real = window.attended.saturating_sub(window.tokens.start);
            let values = values.unwrap_or_default();
            for pool in &mut self.pools {
                pool.add(values.chunks_exact(options.width(rows)).take(real));
            }
        }
        if let Some(merged) = merged.filter(|_| options.keeps_merged) {
            window.extend(self.merged_layers.get_or_insert_default(), &merged);
        }
    }

    /// `[tokens × width]` of `rows` that are kept.
    #[must_use]
    pub(crate) fn rows(&self, rows: PooledRows) -> &[f32] {
        let values = match rows {
            PooledRows::Output(output) => self.outputs.get(output),
            PooledRows::MergedLayers => self.merged_layers.as_ref(),
        };
        values.map(Vec::as_slice).unwrap_or_default()
    }

    /// `[VectorOptions::embedding_width]`, as `options` define it; empty if they select none.
    /// `None` if a value is not finite, even one that is cut off.
    pub(crate) fn embedding(&self, options: &VectorOptions) -> Option<Vec<f32>> {
        let mut embedding: Vec<_> = self.pools.iter().flat_map(Pool::vector).collect();
        if !all_finite(&embedding) {
            return None;
        }
        if let Some(sentence) = &options.sentence {
            embedding = sentence::forward(&sentence.layers, embedding)?;
        }
        embedding.truncate(options.embedding_width());
        if options.normalize {
            normalize(&mut embedding);
        }
        Some(embedding)
    }
}

impl WindowOutputs<'_> {
    /// The hidden states merged into one; `None` if they stay apart or there are none.
    fn merged_layers(&self, how: LayerMerge) -> Option<Vec<f32>> {
        let layers = self.outputs.iter();
        let layers: Vec<_> = layers
            .filter(|(output, _)| output.hidden_state().is_some())
            .map(|(_, rows)| *rows)
            .collect();
        let merges = how != LayerMerge::None && !layers.is_empty();
        merges.then(|| merge(how, &layers, self.tokens.len()))
    }

    /// Appends the window's rows to the rows of the windows before it. Space for the whole text is
    /// reserved once and exactly: the rows of a long text are most of the memory that it takes.
    fn extend(&self, rows: &mut Vec<f32>, more: &[f32]) {
        let width = more.len() / self.tokens.len().max(1);
        rows.reserve_exact((self.text_tokens - self.tokens.start) * width);
        rows.extend_from_slice(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Output;
    use crate::vectors::Pooling;

    /// The outputs for `tokens` of a text of 10 tokens, 9 of them real.
    fn window<'a>(states: &'a [f32], other: &'a [f32], tokens: Range<usize>) -> WindowOutputs<'a> {
        let rows = tokens.start * 4..tokens.end * 4;
        let pooler_output = &states[..if tokens.start == 0 { 4 } else { 0 }];
        let outputs = [
            (Output::LastHiddenState, &states[rows.clone()]),
            (Output::PoolerOutput, pooler_output),
            (Output::HiddenState(2), &states[rows.clone()]),
            (Output::HiddenState(1), &other[rows]),
        ];
        WindowOutputs {
            outputs: outputs.into_iter().collect(),
            tokens,
            attended: 9,
            text_tokens: 10,
        }
    }

    #[test]
    fn a_text_in_windows_has_the_vectors_of_the_text_in_one() {
        let states: Vec<f32> = (0..40_u8).map(|n| 1.0 / (f32::from(n) - 17.3)).collect();
        let other: Vec<f32> = states.iter().rev().copied().collect();
        let last = PooledRows::Output(Output::LastHiddenState);
        for pooling in [Pooling::Cls, Pooling::Mean, Pooling::Max] {
            for (layer_merge, pooled) in [
                (LayerMerge::None, last),
                (LayerMerge::Mean, last),
                (LayerMerge::Concat, PooledRows::MergedLayers),
            ] {
                let options = VectorOptions {
                    hidden_size: 4,
                    kept: window(&states, &other, 0..10)
                        .outputs
                        .iter()
                        .map(|(output, _)| output)
                        .collect(),
                    keeps_merged: true,
                    layer_merge,
                    merged_width: (layer_merge == LayerMerge::Concat).then_some(8),
                    pooling: Some(pooling),
                    pooled: Some(pooled),
                    sentence: None,
                    prompt_tokens: 0,
                    truncate_dim: Some(3),
                    normalize: true,
                    words: None,
                };
                let mut whole = TextVectors::default();
                whole.add(&window(&states, &other, 0..10), &options);
                let mut stitched = TextVectors::default();
                for tokens in [0..3, 3..4, 4..10] {
                    stitched.add(&window(&states, &other, tokens), &options);
                }
                assert_eq!(whole.embedding(&options), stitched.embedding(&options));
                assert_eq!(whole.outputs, stitched.outputs);
                assert_eq!(whole.merged_layers, stitched.merged_layers);
                let kept = whole.outputs.get(Output::LastHiddenState);
                assert_eq!(kept, Some(&states));
                let pooler_output = whole.outputs.get(Output::PoolerOutput);
                assert_eq!(pooler_output.map(Vec::len), Some(4));
            }
        }
    }
}
