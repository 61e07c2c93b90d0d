//! The embedding lookup: word, token type and position, normalized.
//!
//! The source is transformers' `BertEmbeddings`, whose order of addition is kept: word and token type
//! first, then position. Only the rows that the ids name are read.

use super::layer_norm::{Norm, add, for_each_rows, normalize};
use super::simd::{Kernel, Level, Simd, dispatch};

/// The three embedding tables, row-major.
#[derive(Clone, Copy)]
pub(crate) struct Tables<'a> {
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
pub(crate) struct Ids<'a> {
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
/// `out`: `[tokens, hidden]`
///
/// # Panics
/// If an id is not in its table, or a slice has not the size that its shape asks for.
pub(crate) fn embeddings(
    ids: Ids<'_>,
    tables: Tables<'_>,
    norm: Norm<'_>,
    hidden: usize,
    out: &mut [f32],
) {
    assert!(
        hidden > 0 && norm.gamma.len() == hidden && norm.beta.len() == hidden,
        "gamma, beta are [hidden]"
    );
    assert_eq!(
        out.len(),
        ids.input_ids.len() * hidden,
        "out is [tokens, hidden]"
    );
    assert_eq!(
        ids.token_type_ids.len(),
        ids.input_ids.len(),
        "one token type a token"
    );
    assert_eq!(
        ids.position_ids.len(),
        ids.input_ids.len(),
        "one position a token"
    );
    let level = Level::current();
    for_each_rows(hidden, out, |first, out| {
        let first = first / hidden;
        dispatch(
            level,
            Lookup {
                ids,
                tables,
                norm,
                hidden,
                first,
                out,
            },
        );
    });
}

struct Lookup<'a> {
    ids: Ids<'a>,
    tables: Tables<'a>,
    norm: Norm<'a>,
    hidden: usize,
    first: usize,
    out: &'a mut [f32],
}

impl Kernel for Lookup<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self {
            ids,
            tables,
            norm,
            hidden,
            first,
            out,
        } = self;
        let row = |table, ids: &[u32], token: usize| table_row(table, ids[token] as usize, hidden);
        for (token, out) in out.chunks_exact_mut(hidden).enumerate() {
            let token = first + token;
            let word = row(tables.word, ids.input_ids, token);
            add(
                simd,
                word,
                row(tables.token_type, ids.token_type_ids, token),
                out,
            );
            add_in_place(simd, row(tables.position, ids.position_ids, token), out);
            normalize(simd, norm, out);
        }
    }
}

fn table_row(table: &[f32], id: usize, hidden: usize) -> &[f32] {
    &table[id * hidden..][..hidden]
}

/// `out += term`
#[inline(always)]
fn add_in_place<S: Simd>(simd: S, term: &[f32], out: &mut [f32]) {
    for (term, out) in term.chunks(S::LANES).zip(out.chunks_mut(S::LANES)) {
        simd.store_slice(simd.add(simd.load_slice(out), simd.load_slice(term)), out);
    }
}
