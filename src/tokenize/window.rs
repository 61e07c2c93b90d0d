//! Splits a text of too many tokens into overlapping windows, and decides which rows of each window
//! the record takes.
//!
//! The windows are the same as with transformers' `return_overflowing_tokens` and `stride`: each
//! starts `stride` tokens before the previous one ends, and the last one ends with the text.

use std::ops::Range;

use super::{Encoding, SPECIAL_TOKENS};

/// The part of a text that the encoder takes at once: all of it, or consecutive tokens between
/// `[CLS]` and `[SEP]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The record's rows that the window covers. Its own first and last rows are `[CLS]` and
    /// `[SEP]`, whatever the record has there.
    pub rows: Range<usize>,
    /// The part of [`Window::rows`] that the record takes from this window.
    pub kept: Range<usize>,
}

impl Window {
    /// Whether the text starts in this window.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.kept.start == 0
    }
}

impl Encoding {
    /// Splits a text into windows of at most `max_length` tokens; consecutive windows share
    /// `stride`. A text that fits is one window.
    ///
    /// Every row is kept from exactly one window: the one in which it is furthest from the nearer
    /// edge, or the earlier one if two are equal. So two windows are divided in the middle of what
    /// they share.
    ///
    /// A text that does not fit needs `max_length` > `stride` + 2 and must not be padded.
    pub fn windows(
        &self,
        max_length: usize,
        stride: usize,
    ) -> impl Iterator<Item = Window> + use<> {
        let tokens = self.tokens();
        let step = max_length.saturating_sub(SPECIAL_TOKENS + stride).max(1);
        let count = 1 + tokens.saturating_sub(max_length).div_ceil(step);
        let rows = move |number: usize| {
            let start = number * step;
            start..tokens.min(start + max_length)
        };
        let first_kept = move |number: usize| match number {
            0 => 0,
            _ if number == count => tokens,
            _ => (rows(number - 1).end + rows(number).start).div_ceil(2),
        };
        (0..count).map(move |number| Window {
            rows: rows(number),
            kept: first_kept(number)..first_kept(number + 1),
        })
    }

    /// The ids of `window`, between `[CLS]` and `[SEP]`.
    #[must_use]
    pub fn window_ids(&self, window: &Window) -> Vec<u32> {
        let mut ids = self.input_ids[window.rows.clone()].to_vec();
        let ends = (self.input_ids.first(), self.input_ids.last());
        if let ([first, .., last], (Some(&cls), Some(&sep))) = (&mut ids[..], ends) {
            (*first, *last) = (cls, sep);
        }
        ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoding(tokens: usize) -> Encoding {
        Encoding {
            input_ids: (0..tokens as u32).collect(),
            ..Encoding::default()
        }
    }

    /// How far the text's token in `row` is from the nearer edge of a window.
    fn context(window: &Window, row: usize) -> Option<usize> {
        let text = window.rows.start + 1..window.rows.end - 1;
        text.contains(&row)
            .then(|| (row - text.start).min(text.end - 1 - row))
    }

    #[test]
    fn each_row_is_kept_once_where_it_has_most_context() {
        for (max_length, stride) in [(3, 0), (8, 0), (8, 1), (8, 2), (8, 5), (9, 3), (20, 17)] {
            for tokens in 2..70 {
                let windows: Vec<_> = encoding(tokens).windows(max_length, stride).collect();
                let mut next = 0;
                for window in &windows {
                    assert_eq!(window.kept.start, next);
                    next = window.kept.end;
                    for row in window
                        .kept
                        .clone()
                        .filter(|row| (1..tokens - 1).contains(row))
                    {
                        let contexts = || windows.iter().filter_map(|other| context(other, row));
                        let most = contexts().max();
                        let mut best = windows.iter().filter(|other| context(other, row) == most);
                        assert_eq!(best.next(), Some(window), "{tokens} {max_length} {stride}");
                    }
                }
                assert_eq!(next, tokens);
            }
        }
    }

    #[test]
    fn a_text_that_fits_is_one_window_with_its_ids() {
        let encoding = encoding(8);
        let windows: Vec<_> = encoding.windows(8, 2).collect();
        let whole = Window {
            rows: 0..8,
            kept: 0..8,
        };
        assert_eq!(windows, [whole]);
        assert_eq!(encoding.window_ids(&windows[0]), encoding.input_ids);
    }

    #[test]
    fn a_window_is_enclosed_in_cls_and_sep() {
        let encoding = encoding(12);
        let windows = encoding.windows(6, 1);
        let ids: Vec<_> = windows.map(|window| encoding.window_ids(&window)).collect();
        let expected = [
            [0, 1, 2, 3, 4, 11],
            [0, 4, 5, 6, 7, 11],
            [0, 7, 8, 9, 10, 11],
        ];
        assert_eq!(ids, expected);
    }
}
