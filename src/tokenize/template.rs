//! The template around the segments: `[CLS] a [SEP]` and `[CLS] a [SEP] b [SEP]`.
//!
//! Owns truncation to a number of tokens (`longest_first`) and the assembly of an [`Encoding`].
//! Source: `truncate_encodings` of the tokenizers crate, `TemplateProcessing` of `BertTokenizer`.

use super::segment::Segment;
use super::{Encoding, SPECIAL_TOKENS};

/// The numbers of the tokens that the template adds.
#[derive(Debug, Clone, Copy)]
pub(super) struct SpecialTokens {
    pub(super) cls: u32,
    pub(super) sep: u32,
    pub(super) pad: u32,
}

impl SpecialTokens {
    /// The record of one or two segments, cut to `max_length` tokens.
    pub(super) fn assemble(
        self,
        mut first: Segment,
        mut second: Option<Segment>,
        max_length: usize,
    ) -> Encoding {
        let total = first.total + second.as_ref().map_or(0, |segment| segment.total);
        truncate(&mut first, second.as_mut(), max_length);
        let kept = first.ids.len() + second.as_ref().map_or(0, |segment| segment.ids.len());
        let mut encoding = Encoding {
            dropped_tokens: total - kept,
            ..Encoding::default()
        };
        encoding.push_special(self.cls, 0);
        encoding.push_segment(first, 0);
        encoding.push_special(self.sep, 0);
        if let Some(second) = second {
            encoding.push_segment(second, 1);
            encoding.push_special(self.sep, 1);
        }
        encoding.finish()
    }
}

impl Encoding {
    fn push_special(&mut self, id: u32, token_type_id: u32) {
        self.input_ids.push(id);
        self.token_type_ids.push(token_type_id);
        self.special_tokens_mask.push(true);
        self.offset_mapping.push((0, 0));
        self.word_ids.push(None);
    }

    fn push_segment(&mut self, segment: Segment, token_type_id: u32) {
        self.input_ids.extend(segment.ids);
        self.offset_mapping.extend(segment.offsets);
        self.word_ids.extend(segment.words);
        self.token_type_ids
            .resize(self.input_ids.len(), token_type_id);
        self.special_tokens_mask.resize(self.input_ids.len(), false);
    }

    /// Offsets stand for every token or for none.
    fn finish(mut self) -> Self {
        self.attended = self.input_ids.len();
        if self.offset_mapping.len() != self.attended {
            self.offset_mapping.clear();
            self.word_ids.clear();
        }
        self
    }
}

/// Cuts the segments so that they and the special tokens make `max_length` tokens at most.
fn truncate(first: &mut Segment, second: Option<&mut Segment>, max_length: usize) {
    let Some(second) = second else {
        return first.truncate(max_length.saturating_sub(SPECIAL_TOKENS));
    };
    let (first_tokens, second_tokens) = longest_first(
        first.total,
        second.total,
        max_length.saturating_sub(SPECIAL_TOKENS + 1),
    );
    first.truncate(first_tokens);
    second.truncate(second_tokens);
}

/// The tokens that remain of two segments when the longer one is cut first, down to `budget`.
fn longest_first(first: usize, second: usize, budget: usize) -> (usize, usize) {
    if first + second <= budget {
        return (first, second);
    }
    let shorter = first.min(second);
    let longer = if shorter > budget {
        shorter
    } else {
        shorter.max(budget - shorter)
    };
    let (shorter, longer) = if shorter + longer > budget {
        (budget / 2, budget / 2 + budget % 2)
    } else {
        (shorter, longer)
    };
    if first > second {
        (longer, shorter)
    } else {
        (shorter, longer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_segment_is_cut_first() {
        assert_eq!(longest_first(3, 4, 10), (3, 4));
        assert_eq!(longest_first(3, 20, 10), (3, 7));
        assert_eq!(longest_first(20, 3, 10), (7, 3));
        assert_eq!(longest_first(20, 20, 13), (6, 7));
        assert_eq!(longest_first(30, 20, 13), (7, 6));
        assert_eq!(longest_first(30, 20, 0), (0, 0));
    }
}
