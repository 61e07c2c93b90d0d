//! The embedding lookup: the sum of each token's rows, normalized.

use std::borrow::Cow;

use super::layer_norm::{NormParameters, for_each_part, normalize, panels_of_part};
use super::panel::{PanelLayout, pack};
use super::scratch::Scratch;
use super::simd::{Kernel, Level, Simd, dispatch};
use super::threads::SharedOut;

/// An embedding table and the row that each token takes from it.
pub(crate) struct TokenRows<'a> {
    /// `[rows, hidden]`
    pub(crate) values: Cow<'a, [f32]>,
    pub(crate) ids: Cow<'a, [u32]>,
}

impl TokenRows<'_> {
    fn row(&self, token: usize, hidden: usize) -> &[f32] {
        &self.values[self.ids[token] as usize * hidden..][..hidden]
    }
}

/// Writes the normalized sum of every token's rows, added in the order of `terms`.
///
/// # Shapes
/// `out`: panels of `[tokens, hidden]`
///
/// # Panics
/// If there are no terms, an id is not in its table, or the size of a slice does not match its
/// shape.
pub(crate) fn embeddings(
    terms: &[TokenRows<'_>],
    norm: NormParameters<'_>,
    tokens: usize,
    out: SharedOut<'_>,
) {
    let panels = norm.panels(tokens);
    assert!(!terms.is_empty(), "there is an embedding table");
    assert_eq!(out.size(), panels.size(), "out is [tokens, hidden]");
    for term in terms {
        assert_eq!(term.ids.len(), tokens, "one id for each token");
    }
    for_each_part(panels, |index| {
        let kernel = Lookup {
            terms,
            norm,
            panels,
            index,
            out,
        };
        dispatch(Level::current(), kernel);
    });
}

struct Lookup<'a> {
    terms: &'a [TokenRows<'a>],
    norm: NormParameters<'a>,
    panels: PanelLayout,
    index: usize,
    out: SharedOut<'a>,
}

impl Kernel for Lookup<'_> {
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
    /// Writes the sum of the token's rows.
    #[inline(always)]
    fn sum<S: Simd>(&self, simd: S, token: usize, out: &mut [f32]) {
        let (first, others) = self.terms.split_at(1);
        out.copy_from_slice(first[0].row(token, out.len()));
        for term in others {
            let row = term.row(token, out.len()).chunks(S::LANES);
            for (sum, term) in out.chunks_mut(S::LANES).zip(row) {
                simd.store_slice(simd.add(simd.load_slice(sum), simd.load_slice(term)), sum);
            }
        }
    }
}
