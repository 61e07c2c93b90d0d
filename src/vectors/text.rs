//! The vectors of one text, collected window by window.
//!
//! A text that fits has a single window. The result does not depend on how the text is cut into
//! windows: rows are kept, pooled and merged in order, one after the other.

use super::options::{LayerMerge, Pooling, VectorOptions};
use super::pooling::{Pool, merge, normalize};
use super::sentence;

/// The rows that a text takes from one window.
///
/// # Shapes
/// Rows are `[taken tokens × hidden]`.
pub(crate) struct WindowRows<'a> {
    /// How many of the rows are real tokens, which come first; larger than the number of rows if
    /// all are.
    pub attended: usize,
    /// Empty if not computed.
    pub last_hidden_state: &'a [f32],
    /// One slice a layer.
    pub hidden_states: Vec<&'a [f32]>,
    /// `[heads × tokens × tokens]` for each layer; texts of several windows have none.
    pub attentions: Vec<&'a [f32]>,
    /// `[hidden]` of the first window; `None` for the others, and if not computed.
    pub pooler_output: Option<&'a [f32]>,
}

/// The vectors of one text.
#[derive(Debug, Default)]
pub(crate) struct TextVectors {
    /// `[tokens × hidden]`; empty if they are not kept.
    pub last_hidden_state: Vec<f32>,
    /// `[hidden]` of the first window; `None` if not computed.
    pub pooler_output: Option<Vec<f32>>,
    /// `[layers][tokens × hidden]`; merged, one layer of `[tokens × merged width]`.
    pub hidden_states: Vec<Vec<f32>>,
    /// `[layers][heads × tokens × tokens]`
    pub attentions: Vec<Vec<f32>>,
    pool: Option<Pool>,
}

impl TextVectors {
    /// Adds the next window of a text that has `tokens` in all.
    pub(crate) fn add(&mut self, rows: &WindowRows, tokens: usize, options: &VectorOptions) {
        let hidden = options.hidden_size;
        let states = rows.last_hidden_state;
        if options.keep_rows {
            extend(&mut self.last_hidden_state, states, tokens * hidden);
        }
        if options.pooling.is_some() {
            let real = (rows.attended * hidden).min(states.len());
            let new = || Pool::new(options.pooling_modes(), hidden, options.prompt_tokens);
            let pool = self.pool.get_or_insert_with(new);
            pool.add(&states[..real]);
        }
        self.add_layers(&rows.hidden_states, tokens, options);
        let attentions = rows.attentions.iter().map(|layer| layer.to_vec());
        self.attentions.extend(attentions);
        if let Some(pooler_output) = rows.pooler_output {
            self.pooler_output = Some(pooler_output.to_vec());
        }
    }

    fn add_layers(&mut self, layers: &[&[f32]], tokens: usize, options: &VectorOptions) {
        let hidden = options.hidden_size;
        let is_merged = options.layer_merge != LayerMerge::None && !layers.is_empty();
        let merged = is_merged.then(|| merge(options.layer_merge, layers, hidden));
        let merged = merged.as_deref().map(|rows| [rows]);
        let layers = merged.as_ref().map_or(layers, |merged| &merged[..]);
        let width = options.merged_width.unwrap_or(hidden);
        self.hidden_states.resize_with(layers.len(), Vec::new);
        for (rows, layer) in self.hidden_states.iter_mut().zip(layers) {
            extend(rows, layer, tokens * width);
        }
    }

    /// `[VectorOptions::embedding_width]` as `options` ask for; empty if they do not.
    #[must_use]
    pub(crate) fn embedding(&self, options: &VectorOptions) -> Vec<f32> {
        let mut embedding = match (options.pooling, &self.pooler_output, &self.pool) {
            (Some(Pooling::Pooler), Some(pooler_output), _) => pooler_output.clone(),
            (Some(_), _, Some(pool)) => pool.vector(),
            _ => return Vec::new(),
        };
        if let Some(sentence) = &options.sentence {
            embedding = sentence::forward(&sentence.layers, embedding);
        }
        embedding.truncate(options.embedding_width());
        if options.normalize {
            normalize(&mut embedding);
        }
        embedding
    }
}

/// Appends `more` to rows that will have `total` numbers in the end. The room is reserved once and
/// exactly: the rows of a long text are most of the memory that it takes.
fn extend(rows: &mut Vec<f32>, more: &[f32], total: usize) {
    rows.reserve_exact(total.saturating_sub(rows.len()));
    rows.extend_from_slice(more);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows<'a>(states: &'a [f32], attended: usize, layers: &[&'a [f32]]) -> WindowRows<'a> {
        WindowRows {
            attended,
            last_hidden_state: states,
            hidden_states: layers.to_vec(),
            attentions: Vec::new(),
            pooler_output: None,
        }
    }

    #[test]
    fn a_text_in_windows_has_the_vectors_of_the_text_in_one() {
        let numbers: Vec<f32> = (0..40_u8).map(|n| 1.0 / (f32::from(n) - 17.3)).collect();
        let other: Vec<f32> = numbers.iter().rev().copied().collect();
        for pooling in [Pooling::Cls, Pooling::Mean, Pooling::Max] {
            for layer_merge in [LayerMerge::None, LayerMerge::Mean, LayerMerge::Concat] {
                let options = VectorOptions {
                    hidden_size: 4,
                    keep_rows: true,
                    layer_merge,
                    merged_width: (layer_merge == LayerMerge::Concat).then_some(8),
                    pooling: Some(pooling),
                    sentence: None,
                    prompt_tokens: 0,
                    truncate_dim: Some(3),
                    normalize: true,
                    word_pooling: None,
                };
                let mut whole = TextVectors::default();
                whole.add(&rows(&numbers, 9, &[&numbers, &other]), 10, &options);
                let mut stitched = TextVectors::default();
                for tokens in [0..3, 3..4, 4..10] {
                    let part = |of: &'_ [f32]| of[tokens.start * 4..tokens.end * 4].to_vec();
                    let (one, two) = (part(&numbers), part(&other));
                    let window = rows(&one, 9 - tokens.start, &[&one, &two]);
                    stitched.add(&window, 10, &options);
                }
                assert_eq!(whole.embedding(&options), stitched.embedding(&options));
                assert_eq!(whole.hidden_states, stitched.hidden_states);
                assert_eq!(whole.last_hidden_state, stitched.last_hidden_state);
            }
        }
    }
}
