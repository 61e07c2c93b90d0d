//! The encoder's outputs for the windows of a text → the text's own rows.
//!
//! Owns what a text keeps of each of its windows. A text that fits is one window, kept whole.

use crate::pipeline::Vectors;
use crate::pipeline::batch::Piece;

/// One text's numbers, row by row of its record.
#[derive(Debug, Default)]
pub struct TextVectors {
    /// `[tokens × hidden]`; empty where not wanted.
    pub last_hidden_state: Vec<f32>,
    /// `[hidden]`, the first window's; `None` where not wanted or not there.
    pub pooler_output: Option<Vec<f32>>,
    /// `[layers][tokens × hidden]`
    pub hidden_states: Vec<Vec<f32>>,
}

impl TextVectors {
    /// Adds what the text keeps of its next `piece`, number `place` in a batch's `vectors`, whose
    /// rows have `hidden` numbers.
    pub fn extend(&mut self, piece: &Piece, place: usize, vectors: &Vectors, hidden: usize) {
        let window = &piece.window;
        let first_row = vectors.first_rows[place] + (window.kept.start - window.rows.start);
        let kept = first_row * hidden..(first_row + window.kept.len()) * hidden;
        let all = piece.of.encoding.tokens() * hidden;
        let extend = |rows: &mut Vec<f32>, batch: &[f32]| {
            // Exactly once: a long text's rows are most of the memory that it takes.
            rows.reserve_exact(all - rows.len());
            rows.extend_from_slice(&batch[kept.clone()]);
        };
        if !vectors.last_hidden_state.is_empty() {
            extend(&mut self.last_hidden_state, &vectors.last_hidden_state);
        }
        self.hidden_states
            .resize_with(vectors.hidden_states.len(), Vec::new);
        for (rows, batch) in self.hidden_states.iter_mut().zip(&vectors.hidden_states) {
            extend(rows, batch);
        }
        if window.is_first() {
            let pooler_output = vectors.pooler_output.as_ref();
            self.pooler_output =
                pooler_output.map(|rows| rows[place * hidden..(place + 1) * hidden].to_vec());
        }
    }
}
