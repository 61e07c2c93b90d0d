//! Panels: the layout of all tensors between the kernels, tokens side by side in lanes.
//!
//! A panel holds the features of up to two registers' worth of tokens, feature after feature,
//! `[features, width]`. The panels of a batch follow each other, and only the last one may be
//! narrower: one register, or two, with zero in the lanes that have no token. Each kernel reads
//! whole cache lines in the order in which the previous one wrote them. With rows `[tokens,
//! features]`, which are pages apart, the multiplication spent a quarter of its time on packing and
//! storing them.

use super::simd::{Level, Simd};

/// Registers of tokens in a full panel.
const PANEL_VECTORS: usize = 2;

/// Tokens in a full panel of the level.
pub(crate) const fn panel_tokens<S: Simd>() -> usize {
    PANEL_VECTORS * S::LANES
}

/// The lanes of a panel of `tokens` tokens: one register or two.
pub(crate) const fn padded_tokens<S: Simd>(tokens: usize) -> usize {
    tokens.next_multiple_of(S::LANES)
}

/// The tokens of a batch in panels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PanelLayout {
    /// Tokens of the batch, without the padding of the last panel.
    pub(crate) tokens: usize,
    /// Values of each token.
    pub(crate) features: usize,
}

#[derive(Clone, Copy)]
pub(crate) struct Panel {
    pub(crate) start: usize,
    pub(crate) first: usize,
    pub(crate) tokens: usize,
    /// Lanes: its tokens, padded to whole registers.
    pub(crate) width: usize,
}

/// Some neighbouring tokens of one panel.
#[derive(Clone, Copy)]
pub(crate) struct TokenSpan {
    /// The index of the first one's feature 0 in the batch.
    pub(crate) start: usize,
    /// The distance from one feature to the next.
    pub(crate) width: usize,
    /// How many tokens precede it in the sequence of spans.
    pub(crate) before: usize,
    pub(crate) tokens: usize,
}

impl PanelLayout {
    /// f32 values of the batch at the level in use.
    pub(crate) fn size(self) -> usize {
        self.tokens.next_multiple_of(Level::current().lanes()) * self.features
    }

    #[inline(always)]
    pub(crate) fn count<S: Simd>(self) -> usize {
        self.tokens.div_ceil(panel_tokens::<S>())
    }

    #[inline(always)]
    pub(crate) fn panel<S: Simd>(self, index: usize) -> Panel {
        let first = index * panel_tokens::<S>();
        let tokens = panel_tokens::<S>().min(self.tokens - first);
        Panel {
            start: first * self.features,
            first,
            tokens,
            width: padded_tokens::<S>(tokens),
        }
    }

    /// The parts of panels that hold the `tokens` tokens from `first` on.
    #[inline(always)]
    pub(crate) fn spans<S: Simd>(
        self,
        first: usize,
        tokens: usize,
    ) -> impl Iterator<Item = TokenSpan> {
        let mut before = 0;
        std::iter::from_fn(move || {
            if before == tokens {
                return None;
            }
            let token = first + before;
            let panel = self.panel::<S>(token / panel_tokens::<S>());
            let lane = token - panel.first;
            let span = TokenSpan {
                start: panel.start + lane,
                width: panel.width,
                before,
                tokens: (panel.tokens - lane).min(tokens - before),
            };
            before += span.tokens;
            Some(span)
        })
    }
}

/// Transposes `rows` rows of `columns` values, `stride` apart, into a panel; lanes without a row
/// get 0.
///
/// # Shapes
/// `from`: `[rows, stride]`, of which `columns` are read; `panel`: `[columns, padded_tokens(rows)]`
#[inline(always)]
pub(crate) fn pack<S: Simd>(
    simd: S,
    from: &[f32],
    stride: usize,
    rows: usize,
    columns: usize,
    panel: &mut [f32],
) {
    let width = padded_tokens::<S>(rows);
    assert!(rows > 0 && columns <= stride && from.len() >= (rows - 1) * stride + columns);
    assert!(panel.len() >= columns * width);
    for first in (0..rows).step_by(S::LANES) {
        let full = rows - first >= S::LANES;
        let whole = if full {
            columns / S::LANES * S::LANES
        } else {
            0
        };
        for column in (0..whole).step_by(S::LANES) {
            // SAFETY: LANES rows from `first` and columns from `column` exist, by the assertions.
            unsafe {
                let at = from.as_ptr().add(first * stride + column);
                simd.transpose(
                    at,
                    stride,
                    panel.as_mut_ptr().add(column * width + first),
                    width,
                );
            }
        }
        for row in first..first + S::LANES {
            for column in whole..columns {
                panel[column * width + row] = if row < rows {
                    from[row * stride + column]
                } else {
                    0.0
                };
            }
        }
    }
}

/// Transposes a panel to rows of its tokens, `stride` apart.
///
/// # Shapes
/// `panel`: `[features, width]`
///
/// # Safety
/// `to` must be writable for `features` values of each of `tokens` rows.
#[inline(always)]
pub(crate) unsafe fn unpack<S: Simd>(
    simd: S,
    panel: &[f32],
    width: usize,
    tokens: usize,
    features: usize,
    to: *mut f32,
    stride: usize,
) {
    assert!(tokens <= width && panel.len() >= features * width);
    for first in (0..tokens).step_by(S::LANES) {
        let full = tokens - first >= S::LANES;
        let whole = if full {
            features / S::LANES * S::LANES
        } else {
            0
        };
        for feature in (0..whole).step_by(S::LANES) {
            // SAFETY: LANES features from `feature` and tokens from `first` exist on both sides.
            unsafe {
                let from = panel.as_ptr().add(feature * width + first);
                simd.transpose(from, width, to.add(first * stride + feature), stride);
            }
        }
        for token in first..tokens.min(first + S::LANES) {
            for feature in whole..features {
                // SAFETY: token < tokens and feature < features.
                unsafe { *to.add(token * stride + feature) = panel[feature * width + token] }
            }
        }
    }
}
