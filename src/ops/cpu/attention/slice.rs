//! One head's queries, keys or values, read where they lie in a batch's panels.

use super::super::panel::{PanelLayout, TokenSpan, padded_tokens, panel_tokens};
use super::super::scratch::Scratch;
use super::super::simd::Simd;
use super::super::tile::{Segment, StridedOperand};

/// The queries, keys or values of all heads: some neighbouring features of a batch's panels.
#[derive(Clone, Copy)]
pub(crate) struct PanelSlice<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) layout: PanelLayout,
    /// The first of the features.
    pub(crate) feature: usize,
    /// How many there are.
    pub(crate) features: usize,
}

/// One head's part of a [`PanelSlice`], for some neighbouring tokens.
#[derive(Clone, Copy)]
pub(super) struct HeadSlice<'a> {
    values: &'a [f32],
    layout: PanelLayout,
    /// The head's first feature.
    feature: usize,
    head_dim: usize,
    /// The first token.
    token: usize,
    pub(super) tokens: usize,
}

impl<'a> PanelSlice<'a> {
    /// The part of head number `head` for `tokens` tokens from `token` on.
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
        }
    }
}

impl<'a> HeadSlice<'a> {
    /// The panels' parts, each starting at the head's first feature.
    #[inline(always)]
    fn spans<S: Simd>(self) -> impl Iterator<Item = TokenSpan> {
        let spans = self.layout.spans::<S>(self.token, self.tokens);
        spans.map(move |span| TokenSpan {
            start: span.start + self.feature * span.width,
            ..span
        })
    }

    /// The same tokens beginning with a register: these themselves, or a copy. Spans of odd sizes
    /// would leave tiles of few outputs.
    #[inline(always)]
    pub(super) fn aligned<S: Simd>(self, simd: S, buffer: &'a mut Scratch) -> Self {
        if self.token.is_multiple_of(S::LANES) {
            return self;
        }
        let layout = PanelLayout {
            tokens: self.tokens,
            features: self.head_dim,
        };
        let values = buffer.floats(padded_tokens::<S>(self.tokens) * self.head_dim);
        self.copy_to(simd, values, layout);
        Self {
            values,
            layout,
            feature: 0,
            token: 0,
            ..self
        }
    }

    /// The tokens as a panel of their own, with its width: theirs if it has no others, else a copy.
    /// Lanes beyond the tokens hold whatever was there before.
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
        let layout = PanelLayout {
            tokens: self.tokens,
            features: self.head_dim,
        };
        let width = padded_tokens::<S>(self.tokens);
        let values = &mut buffer.floats(self.head_dim * width)[..self.head_dim * width];
        self.copy_to(simd, values, layout);
        (values, width)
    }

    /// Copies the tokens to panels of `layout`, which has the head's features alone.
    #[inline(always)]
    fn copy_to<S: Simd>(self, simd: S, values: &mut [f32], layout: PanelLayout) {
        for from in self.spans::<S>() {
            for to in layout.spans::<S>(from.before, from.tokens) {
                for feature in 0..self.head_dim {
                    let at = from.start + to.before + feature * from.width;
                    let from = &self.values[at..][..to.tokens];
                    let to = &mut values[to.start + feature * to.width..][..to.tokens];
                    copy(simd, from, to);
                }
            }
        }
    }

    /// For each span of the tokens, taken as keys: the tokens before it, how many it has, and the
    /// operand whose outputs are its keys and whose k is the feature.
    #[inline(always)]
    pub(super) fn as_keys<S: Simd>(self) -> impl Iterator<Item = (usize, usize, Segment)> {
        self.spans::<S>().map(move |span| {
            let last = span.start + (self.head_dim - 1) * span.width + span.tokens;
            assert!(last <= self.values.len());
            let operand = StridedOperand {
                start: self.values[span.start..].as_ptr(),
                output_stride: 1,
                k_stride: span.width,
                prefetch: 0,
            };
            let depth = self.head_dim;
            (span.before, span.tokens, Segment { operand, depth })
        })
    }

    /// Tokens `first` to `first + count`, taken as values: the segments whose outputs are the
    /// features and whose k is the token.
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
                output_stride: span.width,
                k_stride: 1,
                prefetch: 0,
            };
            let depth = span.tokens;
            segments.all[segments.count] = Segment { operand, depth };
            segments.count += 1;
        }
    }
}

/// The segments of one block of keys.
pub(super) struct Segments {
    all: [Segment; MAX_SEGMENTS],
    count: usize,
}

/// A block of 128 keys in the smallest panels, of 8 tokens, and one more if it begins inside of one.
const MAX_SEGMENTS: usize = 17;

impl Segments {
    pub(super) fn new() -> Self {
        let operand = StridedOperand {
            start: std::ptr::null(),
            output_stride: 0,
            k_stride: 0,
            prefetch: 0,
        };
        Self {
            all: [Segment { operand, depth: 0 }; MAX_SEGMENTS],
            count: 0,
        }
    }

    pub(super) fn get(&self) -> &[Segment] {
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

/// Copies a few values.
#[inline(always)]
pub(super) fn copy<S: Simd>(simd: S, from: &[f32], to: &mut [f32]) {
    for (from, to) in from.chunks(S::LANES).zip(to.chunks_mut(S::LANES)) {
        simd.store_slice(simd.load_slice(from), to);
    }
}
