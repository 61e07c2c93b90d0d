//! One head's queries, keys or values, read in place from a batch's panels.

use super::super::panel::{PanelLayout, TokenSpan, padded_tokens, panel_tokens};
use super::super::scratch::Scratch;
use super::super::simd::Simd;
use super::super::tile::{KStride, OutputStride, StridedOperand, TileSegment};

/// The queries, keys or values of all heads: adjacent features of a batch's panels.
#[derive(Clone, Copy)]
pub(crate) struct PanelSlice<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) layout: PanelLayout,
    pub(crate) feature: usize,
    pub(crate) features: usize,
}

/// One head's part of a [`PanelSlice`], for some consecutive tokens.
#[derive(Clone, Copy)]
pub(super) struct HeadSlice<'a> {
    values: &'a [f32],
    layout: PanelLayout,
    feature: usize,
    head_dim: usize,
    token: usize,
    pub(super) tokens: usize,
    /// If this is a copy outside the panels, the distance from one feature to the next.
    copied: Option<usize>,
}

/// f32 values in a cache line.
const LINE: usize = 16;

impl<'a> PanelSlice<'a> {
    /// The part of head `head` for `tokens` tokens from `token` on.
    pub(super) fn head(
        self,
        head: usize,
        head_dim: usize,
        token: usize,
        tokens: usize,
    ) -> HeadSlice<'a> {
        HeadSlice {
            values: self.values,
            layout: self.layout,
            feature: self.feature + head * head_dim,
            head_dim,
            token,
            tokens,
            copied: None,
        }
    }
}

impl<'a> HeadSlice<'a> {
    /// The contiguous parts, each starting at the head's first feature.
    #[inline(always)]
    fn spans<S: Simd>(self) -> impl Iterator<Item = TokenSpan> {
        let whole = self.copied.map(|width| TokenSpan {
            start: self.token,
            width,
            before: 0,
            tokens: self.tokens,
        });
        let in_panels = if whole.is_some() { 0 } else { self.tokens };
        let spans = self.layout.spans::<S>(self.token, in_panels);
        let of_head = move |span: TokenSpan| TokenSpan {
            start: span.start + self.feature * span.width,
            ..span
        };
        whole.into_iter().chain(spans.map(of_head))
    }

    /// The same tokens, in place if they start at a register boundary, otherwise copied together:
    /// spans of odd sizes would leave tiles with few outputs.
    #[inline(always)]
    pub(super) fn aligned<S: Simd>(self, simd: S, buffer: &'a mut Scratch) -> Self {
        if self.token.is_multiple_of(S::LANES) {
            return self;
        }
        // An odd number of cache lines, so that the features do not share a few sets of the cache.
        let stride = (self.tokens + S::LANES).next_multiple_of(LINE) | LINE;
        let values = buffer.floats(stride * self.head_dim);
        for span in self.spans::<S>() {
            for feature in 0..self.head_dim {
                self.copy_feature(simd, span, feature, &mut values[feature * stride..]);
            }
        }
        Self {
            values,
            feature: 0,
            token: 0,
            copied: Some(stride),
            ..self
        }
    }

    /// The tokens as one panel, and its width: the batch's panel if it holds no other tokens,
    /// otherwise a copy. Lanes beyond the tokens have unspecified values.
    ///
    /// # Shapes
    /// `[head_dim, width]`
    #[inline(always)]
    pub(super) fn panel<S: Simd>(self, simd: S, buffer: &'a mut Scratch) -> (&'a [f32], usize) {
        if let Some(span) = whole_panel::<S>(self.layout, self.token, self.tokens) {
            let start = span.start + self.feature * span.width;
            return (
                &self.values[start..][..self.head_dim * span.width],
                span.width,
            );
        }
        let width = padded_tokens::<S>(self.tokens);
        let values = buffer.floats(self.head_dim * width);
        for feature in 0..self.head_dim {
            for span in self.spans::<S>() {
                self.copy_feature(simd, span, feature, &mut values[feature * width..]);
            }
        }
        (&values[..self.head_dim * width], width)
    }

    /// Copies one feature of a span, and the values after it up to a whole register. `to` is
    /// written front to back, so the next copy overwrites the surplus.
    #[inline(always)]
    fn copy_feature<S: Simd>(self, simd: S, span: TokenSpan, feature: usize, to: &mut [f32]) {
        let from = &self.values[span.start + feature * span.width..];
        let to = &mut to[span.before..];
        for at in (0..span.tokens).step_by(S::LANES) {
            simd.store_slice(simd.load_slice(&from[at..]), &mut to[at..]);
        }
    }

    /// The spans of the tokens as keys: for each the tokens before it, how many it has, and the
    /// operand whose outputs are its keys and whose k is the feature.
    #[inline(always)]
    pub(super) fn as_keys<S: Simd>(
        self,
    ) -> impl Iterator<Item = (usize, usize, TileSegment<KStride>)> {
        self.spans::<S>().map(move |span| {
            let last = span.start + (self.head_dim - 1) * span.width + span.tokens;
            assert!(last <= self.values.len());
            let operand = StridedOperand {
                start: self.values[span.start..].as_ptr(),
                strides: KStride(span.width),
                prefetch: 0,
            };
            let depth = self.head_dim;
            (span.before, span.tokens, TileSegment { operand, depth })
        })
    }

    /// Tokens `first` to `first + count` as values: the segments whose outputs are the features and
    /// whose k is the token.
    #[inline(always)]
    pub(super) fn as_values<S: Simd>(self, first: usize, count: usize, segments: &mut Segments) {
        segments.count = 0;
        let part = Self {
            token: self.token + first,
            tokens: count,
            ..self
        };
        for span in part.spans::<S>() {
            let last = span.start + (self.head_dim - 1) * span.width + span.tokens;
            assert!(last <= self.values.len());
            let operand = StridedOperand {
                start: self.values[span.start..].as_ptr(),
                strides: OutputStride(span.width),
                prefetch: 0,
            };
            let depth = span.tokens;
            segments.all[segments.count] = TileSegment { operand, depth };
            segments.count += 1;
        }
    }
}

/// The segments of one block of keys.
pub(super) struct Segments {
    all: [TileSegment<OutputStride>; MAX_SEGMENTS],
    count: usize,
}

/// A block of 128 keys in the smallest panels, of 8 tokens, and one more if it starts inside one.
const MAX_SEGMENTS: usize = 17;

impl Segments {
    pub(super) fn new() -> Self {
        let operand = StridedOperand {
            start: std::ptr::null(),
            strides: OutputStride(0),
            prefetch: 0,
        };
        Self {
            all: [TileSegment { operand, depth: 0 }; MAX_SEGMENTS],
            count: 0,
        }
    }

    pub(super) fn get(&self) -> &[TileSegment<OutputStride>] {
        &self.all[..self.count]
    }
}

/// The span of `tokens` tokens from `token` on, if they are all tokens of one panel.
#[inline(always)]
pub(super) fn whole_panel<S: Simd>(
    layout: PanelLayout,
    token: usize,
    tokens: usize,
) -> Option<TokenSpan> {
    let panel = layout.panel::<S>(token / panel_tokens::<S>());
    let is_whole = panel.first == token && panel.tokens == tokens;
    is_whole.then_some(TokenSpan {
        start: panel.start,
        width: panel.width,
        before: 0,
        tokens,
    })
}

#[inline(always)]
pub(super) fn copy<S: Simd>(simd: S, from: &[f32], to: &mut [f32]) {
    for (from, to) in from.chunks(S::LANES).zip(to.chunks_mut(S::LANES)) {
        simd.store_slice(simd.load_slice(from), to);
    }
}
