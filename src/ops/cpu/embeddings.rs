//! The embedding lookup: word, token type and position, normalized.
//!
//! The source is transformers' `BertEmbeddings`, whose order of addition is kept: word and token
//! type first, then position. Only the rows that the ids name are read.

use super::layer_norm::{NormParameters, for_each_part, normalize, panels_of_part};
use super::panel::{PanelLayout, pack};
use super::scratch::Scratch;
use super::simd::{Kernel, Level, Simd, dispatch};
use super::threads::SharedOut;

/// The three embedding tables, row-major.
#[derive(Clone, Copy)]
pub(crate) struct EmbeddingTables<'a> {
    /// `word_embeddings.weight`, `[vocab, hidden]`
    pub(crate) word: &'a [f32],
    /// `position_embeddings.weight`, `[max positions, hidden]`
    pub(crate) position: &'a [f32],
    /// `token_type_embeddings.weight`, `[token types, hidden]`
    pub(crate) token_type: &'a [f32],
}

/// The ids of each token.
#[allow(clippy::struct_field_names, reason = "transformers' names")]
#[derive(Clone, Copy)]
pub(crate) struct TokenIds<'a> {
    /// Rows of the word table, `[tokens]`.
    pub(crate) input_ids: &'a [u32],
    /// Rows of the token type table, `[tokens]`.
    pub(crate) token_type_ids: &'a [u32],
    /// Rows of the position table, `[tokens]`.
    pub(crate) position_ids: &'a [u32],
}

/// Writes `norm((word + token_type) + position)` of every token.
///
/// # Shapes
/// `out`: panels of `[tokens, hidden]`
///
/// # Panics
/// If an id is not in its table, or the size of a slice does not match its shape.
pub(crate) fn embeddings(
    ids: TokenIds<'_>,
    tables: EmbeddingTables<'_>,
    norm: NormParameters<'_>,
    out: SharedOut<'_>,
) {
    let panels = norm.panels(ids.input_ids.len());
    assert_eq!(out.size(), panels.size(), "out is [tokens, hidden]");
    assert_eq!(
        ids.token_type_ids.len(),
        panels.tokens,
        "one token type a token"
    );
    assert_eq!(
        ids.position_ids.len(),
        panels.tokens,
        "one position a token"
    );
    for_each_part(panels, |index| {
        let kernel = Lookup {
            ids,
            tables,
            norm,
            panels,
            index,
            out,
        };
        dispatch(Level::current(), kernel);
    });
}

struct Lookup<'a> {
    ids: TokenIds<'a>,
    tables: EmbeddingTables<'a>,
    norm: NormParameters<'a>,
    panels: PanelLayout,
    index: usize,
    out: SharedOut<'a>,
}

impl Kernel for Lookup<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let hidden = self.panels.features;
        let mut rows = Scratch::default();
        for panel in panels_of_part::<S>(self.panels, self.index) {
            let rows = rows.floats(panel.tokens * hidden);
            for (token, row) in (panel.first..)
                .zip(rows.chunks_exact_mut(hidden))
                .take(panel.tokens)
            {
                self.sum(simd, token, row);
            }
            let size = panel.width * hidden;
            let to = self.out.at(panel.start, size);
            // SAFETY: the panel belongs to this work item alone, and is overwritten before it is
            // read.
            let to = unsafe {
                to.write_bytes(0, size);
                std::slice::from_raw_parts_mut(to, size)
            };
            pack(simd, rows, hidden, panel.tokens, hidden, to);
            normalize(simd, self.norm, to, panel.width);
        }
    }
}

impl Lookup<'_> {
    /// Writes the sum of the token's three embeddings.
    #[inline(always)]
    fn sum<S: Simd>(&self, simd: S, token: usize, out: &mut [f32]) {
        let row = |table, ids: &[u32]| table_row(table, ids[token] as usize, out.len());
        let word = row(self.tables.word, self.ids.input_ids);
        let token_type = row(self.tables.token_type, self.ids.token_type_ids);
        let position = row(self.tables.position, self.ids.position_ids);
        let terms = word.chunks(S::LANES).zip(token_type.chunks(S::LANES));
        let terms = terms.zip(position.chunks(S::LANES));
        for (out, ((word, token_type), position)) in out.chunks_mut(S::LANES).zip(terms) {
            let sum = simd.add(simd.load_slice(word), simd.load_slice(token_type));
            simd.store_slice(simd.add(sum, simd.load_slice(position)), out);
        }
    }
}

fn table_row(table: &[f32], id: usize, hidden: usize) -> &[f32] {
    &table[id * hidden..][..hidden]
}
