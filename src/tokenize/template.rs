//! The template around the segments, `[CLS] a [SEP]` and `[CLS] a [SEP] b [SEP]`, and truncation.
//!
//! Source: `truncate_encodings` of the tokenizers crate, `TemplateProcessing` of `BertTokenizer`.

use anyhow::{anyhow, bail, ensure};
use tokenizers::Token;

use super::segment::{EncodedSegment, Truncation};
use super::{Encoding, SPECIAL_TOKENS};

#[derive(Debug, Clone, Copy)]
pub(super) struct SpecialTokens {
    pub(super) cls: u32,
    pub(super) sep: u32,
    /// `None` if the model has no padding token, or no word embedding for it.
    pub(super) pad: Option<u32>,
    pub(super) unknown: u32,
    /// 1, or 0 if the model takes no token types.
    pub(super) second_type: u32,
}

impl SpecialTokens {
    /// The ids of `[CLS]` and `[SEP]` in the post-processor of `inner`. If `types` is true, it must
    /// also give the segments the types 0 and 1.
    ///
    /// # Errors
    /// Its output is not `[CLS] a [SEP]` and `[CLS] a [SEP] b [SEP]`.
    pub(super) fn of_template(
        inner: &tokenizers::Tokenizer,
        types: bool,
    ) -> anyhow::Result<[u32; 2]> {
        const FIRST: u32 = u32::MAX - 1;
        const SECOND: u32 = u32::MAX;
        let one =
            |id| tokenizers::Encoding::from_tokens(vec![Token::new(id, String::new(), (0, 0))], 0);
        let processed = |pair: Option<tokenizers::Encoding>| {
            let processed = inner.post_process(one(FIRST), pair, true);
            processed.map_err(|cause| anyhow!("its post_processor failed: {cause}"))
        };
        let single = processed(None)?;
        let pair = processed(Some(one(SECOND)))?;
        let &[cls, FIRST, sep] = single.get_ids() else {
            bail!("its post_processor does not turn a text into `[CLS] a [SEP]`");
        };
        ensure!(
            pair.get_ids() == [cls, FIRST, sep, SECOND, sep],
            "its post_processor does not turn a pair into `[CLS] a [SEP] b [SEP]`"
        );
        ensure!(
            !types || (single.get_type_ids() == [0; 3] && pair.get_type_ids() == [0, 0, 0, 1, 1]),
            "its post_processor does not give the segments of a pair the types 0 and 1"
        );
        Ok([cls, sep])
    }

    /// The encoding of one or two segments.
    pub(super) fn assemble(
        self,
        mut first: EncodedSegment,
        mut second: Option<EncodedSegment>,
        truncation: Truncation,
    ) -> Encoding {
        let total = first.total + second.as_ref().map_or(0, |segment| segment.total);
        truncate(&mut first, second.as_mut(), truncation);
        let ids = || {
            first
                .ids
                .iter()
                .chain(second.iter().flat_map(|second| &second.ids))
        };
        let kept = ids().count();
        let is_unknown = |id: &u32| *id == self.unknown;
        let only_unknown = kept > 0 && ids().all(is_unknown);
        let mut encoding = Encoding {
            dropped_tokens: total - kept,
            only_unknown,
            ..Encoding::default()
        };
        encoding.push_special(self.cls, 0);
        encoding.push_segment(first, 0);
        encoding.push_special(self.sep, 0);
        if let Some(second) = second {
            encoding.second_segment = Some(encoding.tokens());
            encoding.push_segment(second, self.second_type);
            encoding.push_special(self.sep, self.second_type);
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

    /// Moves the lists of `segment` one by one, so that only one of them is in memory twice.
    fn push_segment(&mut self, segment: EncodedSegment, token_type_id: u32) {
        let EncodedSegment {
            ids,
            offsets,
            words,
            ..
        } = segment;
        append(&mut self.input_ids, ids);
        append(&mut self.offset_mapping, offsets);
        append(&mut self.word_ids, words);
        self.token_type_ids
            .resize(self.input_ids.len(), token_type_id);
        self.special_tokens_mask.resize(self.input_ids.len(), false);
    }

    /// Offsets are kept for every token or for none.
    fn finish(mut self) -> Self {
        self.attended = self.input_ids.len();
        if self.offset_mapping.len() != self.attended {
            self.offset_mapping = Vec::new();
            self.word_ids = Vec::new();
        }
        self
    }
}

/// Appends `more` to `list`; if `more` is longer, it is moved and `list` is copied.
fn append<T: Copy>(list: &mut Vec<T>, mut more: Vec<T>) {
    if list.len() < more.len() {
        more.splice(0..0, list.iter().copied());
        *list = more;
    } else {
        list.append(&mut more);
    }
}

/// Truncates the segments so that, with the special tokens, they have at most `truncation.tokens`.
fn truncate(
    first: &mut EncodedSegment,
    second: Option<&mut EncodedSegment>,
    truncation: Truncation,
) {
    let Some(second) = second else {
        return first.truncate(truncation.less(SPECIAL_TOKENS));
    };
    let budget = truncation.less(SPECIAL_TOKENS + 1).tokens;
    let (first_tokens, second_tokens) = longest_first(first.total, second.total, budget);
    first.truncate(Truncation {
        tokens: first_tokens,
        ..truncation
    });
    second.truncate(Truncation {
        tokens: second_tokens,
        ..truncation
    });
}

/// The tokens left of two segments when the longer one is truncated first, down to `budget`.
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
