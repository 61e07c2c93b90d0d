//! The template around the segments, such as `[CLS] a [SEP]` and `[CLS] a [SEP] b [SEP]`, and
//! truncation.
//!
//! Source: `truncate_encodings` of the tokenizers crate, `TemplateProcessing` and
//! `RobertaProcessing`.

use anyhow::{anyhow, bail, ensure};
use tokenizers::{PostProcessor, PostProcessorWrapper, Token};

use super::Encoding;
use super::segment::{EncodedSegment, Truncation};

/// The most special tokens in a pair; `RobertaTokenizer` adds 4.
const MAX_SPECIAL_TOKENS: usize = 16;

/// What is around one segment, and around two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) single: SegmentLayout,
    pub(super) pair: SegmentLayout,
}

/// The special tokens around the segments, and all types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SegmentLayout {
    before: Vec<SpecialToken>,
    /// Between the first segment and the second.
    between: Vec<SpecialToken>,
    after: Vec<SpecialToken>,
    types: [u32; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SpecialToken {
    id: u32,
    type_id: u32,
}

impl Template {
    /// `[CLS] a [SEP]` and `[CLS] a [SEP] b [SEP]`, in which the second segment has the type 1.
    pub(super) fn bert([cls, sep]: [u32; 2]) -> Self {
        let of = |id, type_id| SpecialToken { id, type_id };
        let single = SegmentLayout {
            before: vec![of(cls, 0)],
            between: vec![],
            after: vec![of(sep, 0)],
            types: [0; 2],
        };
        let pair = SegmentLayout {
            before: vec![of(cls, 0)],
            between: vec![of(sep, 0)],
            after: vec![of(sep, 1)],
            types: [0, 1],
        };
        Self { single, pair }
    }

    /// `<s> a </s>` and `<s> a </s> </s> b </s>`, all of type 0.
    pub(super) fn roberta(ends: [u32; 2]) -> Self {
        let mut template = Self::bert(ends).without_types();
        let sep = template.pair.between[0];
        template.pair.between.push(sep);
        template
    }

    /// The template that `post_processor` fills in.
    ///
    /// # Errors
    /// It does not put one special token at each end of a text, or changes the order of a pair.
    pub(super) fn of_post_processor(post_processor: &PostProcessorWrapper) -> anyhow::Result<Self> {
        const FIRST: u32 = u32::MAX - 1;
        const SECOND: u32 = u32::MAX;
        let one =
            |id| tokenizers::Encoding::from_tokens(vec![Token::new(id, String::new(), (0, 0))], 0);
        let processed = |pair: Option<tokenizers::Encoding>| {
            let processed = post_processor.process(one(FIRST), pair, true);
            processed.map_err(|cause| anyhow!("its post_processor failed: {cause}"))
        };
        let single = SegmentLayout::parse(&processed(None)?, FIRST, None);
        let single = single.filter(|it| it.before.len() == 1 && it.after.len() == 1);
        let Some(single) = single else {
            bail!("its post_processor does not turn a text into `[CLS] a [SEP]`");
        };
        let pair = SegmentLayout::parse(&processed(Some(one(SECOND)))?, FIRST, Some(SECOND));
        let Some(pair) = pair.filter(|pair| pair.before == single.before) else {
            bail!("its post_processor does not turn a pair into `[CLS] a [SEP] b [SEP]`");
        };
        ensure!(
            pair.special_tokens() <= MAX_SPECIAL_TOKENS,
            "its post_processor adds {} special tokens to a pair, allowed are at most \
             {MAX_SPECIAL_TOKENS}",
            pair.special_tokens()
        );
        Ok(Self { single, pair })
    }

    /// The same template for a model that takes no types.
    pub(super) fn without_types(mut self) -> Self {
        for layout in [&mut self.single, &mut self.pair] {
            layout.types = [0; 2];
            layout.tokens_mut().for_each(|token| token.type_id = 0);
        }
        self
    }

    /// # Errors
    /// A special token has no row of the word embeddings, or a type is neither 0 nor 1.
    pub(super) fn check(&self, rows: usize) -> anyhow::Result<()> {
        let layouts = [&self.single, &self.pair];
        let mut tokens = layouts.into_iter().flat_map(SegmentLayout::tokens);
        ensure!(
            tokens.all(|token| (token.id as usize) < rows),
            "a special token of its template has no row of the word embeddings"
        );
        let mut types = layouts.into_iter().flat_map(SegmentLayout::all_types);
        ensure!(
            types.all(|type_id| type_id < 2) && self.single.all_types().all(|it| it == 0),
            "its post_processor does not give the segments of a pair the types 0 and 1"
        );
        Ok(())
    }

    /// The layout of a text of `segments` segments.
    pub(super) fn layout(&self, is_pair: bool) -> &SegmentLayout {
        if is_pair { &self.pair } else { &self.single }
    }
}

impl SegmentLayout {
    /// The special tokens around the tokens `first` and `second` in `processed`; `None` unless each
    /// occurs once and in this order.
    fn parse(processed: &tokenizers::Encoding, first: u32, second: Option<u32>) -> Option<Self> {
        let (ids, types) = (processed.get_ids(), processed.get_type_ids());
        let at = |wanted| {
            let mut places = (0..ids.len()).filter(|&place| ids[place] == wanted);
            places.next().filter(|_| places.next().is_none())
        };
        let special = |range: std::ops::Range<usize>| {
            let tokens = ids.get(range.clone())?.iter().zip(&types[range]);
            let token = |(&id, &type_id)| SpecialToken { id, type_id };
            Some(tokens.map(token).collect::<Vec<_>>())
        };
        let start = at(first)?;
        let end = second.map_or(Some(start), at)?;
        Some(Self {
            before: special(0..start)?,
            between: if second.is_some() {
                special(start + 1..end)?
            } else {
                vec![]
            },
            after: special(end + 1..ids.len())?,
            types: [types[start], types[end]],
        })
    }

    fn tokens(&self) -> impl Iterator<Item = &SpecialToken> {
        self.before.iter().chain(&self.between).chain(&self.after)
    }

    fn tokens_mut(&mut self) -> impl Iterator<Item = &mut SpecialToken> {
        let outer = self.before.iter_mut().chain(&mut self.after);
        outer.chain(&mut self.between)
    }

    fn all_types(&self) -> impl Iterator<Item = u32> {
        self.tokens().map(|token| token.type_id).chain(self.types)
    }

    pub(super) fn special_tokens(&self) -> usize {
        self.tokens().count()
    }

    /// The encoding of one or two segments.
    pub(super) fn assemble(
        &self,
        mut first: EncodedSegment,
        mut second: Option<EncodedSegment>,
        truncation: Truncation,
    ) -> Encoding {
        let total = first.total + second.as_ref().map_or(0, |segment| segment.total);
        truncate(
            &mut first,
            second.as_mut(),
            truncation.less(self.special_tokens()),
        );
        let kept = first.ids.len() + second.as_ref().map_or(0, |segment| segment.ids.len());
        let mut encoding = Encoding {
            dropped_tokens: total - kept,
            ..Encoding::default()
        };
        encoding.push_special(&self.before);
        encoding.push_segment(first, self.types[0]);
        if let Some(second) = second {
            encoding.push_special(&self.between);
            encoding.second_segment = Some(encoding.tokens());
            encoding.push_segment(second, self.types[1]);
        }
        encoding.push_special(&self.after);
        encoding.finish()
    }
}

impl Encoding {
    fn push_special(&mut self, tokens: &[SpecialToken]) {
        for token in tokens {
            self.input_ids.push(token.id);
            self.token_type_ids.push(token.type_id);
            self.special_tokens_mask.push(true);
            self.offset_mapping.push((0, 0));
            self.word_ids.push(None);
        }
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

/// Truncates the segments so that together they have at most `truncation.tokens`.
fn truncate(
    first: &mut EncodedSegment,
    second: Option<&mut EncodedSegment>,
    truncation: Truncation,
) {
    let Some(second) = second else {
        return first.truncate(truncation);
    };
    let budget = truncation.tokens;
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
