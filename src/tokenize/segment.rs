//! One segment before the template: the tokens that are kept, and the number of all.

use tokenizers::{InputSequence, Tokenizer};

use super::text_splitter::{PIECE_BYTES, TextPiece, TextSplitter};
use super::{Detail, guarded};

/// Which tokens of a text remain.
#[derive(Debug, Clone, Copy)]
pub(super) struct Truncation {
    pub(super) tokens: usize,
    /// Whether the last ones remain, not the first.
    pub(super) last: bool,
}

impl Truncation {
    pub(super) fn less(self, tokens: usize) -> Self {
        Self {
            tokens: self.tokens.saturating_sub(tokens),
            ..self
        }
    }
}

/// The tokens of one text, without special tokens.
#[derive(Debug, Default)]
pub(super) struct EncodedSegment {
    pub(super) ids: Vec<u32>,
    /// In characters of the text; empty without [`Detail::offsets`].
    pub(super) offsets: Vec<(u32, u32)>,
    /// Empty without [`Detail::offsets`].
    pub(super) words: Vec<Option<u32>>,
    /// Tokens of the whole text.
    pub(super) total: usize,
}

/// White space that the offsets of tokens leave out, as `ByteLevel` and `RobertaProcessing` do.
/// Here rather than in the crate, which cannot tell the first token of a text from the first token
/// of a later piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trim {
    /// Whether a text's first token may start with a space that is not in the text.
    pub(super) add_prefix_space: bool,
}

impl Trim {
    /// The offsets of `token` without its white space; byte-level BPE writes a space as `Ġ`.
    fn apply(
        self,
        token: &str,
        (mut start, mut end): (usize, usize),
        is_first: bool,
    ) -> (usize, usize) {
        let is_space = |character: &char| *character == 'Ġ' || character.is_whitespace();
        let mut leading = token.chars().take_while(is_space).count();
        let trailing = token.chars().rev().take_while(is_space).count();
        if is_first && self.add_prefix_space && leading == 1 {
            leading = 0;
        }
        start = end.min(start + leading);
        if end >= trailing {
            end = start.max(end - trailing);
        }
        (start, end)
    }
}

#[derive(Clone, Copy)]
pub(super) struct SegmentEncoder<'a> {
    pub(super) inner: &'a Tokenizer,
    pub(super) trims: &'a [Trim],
    pub(super) splitter: &'a TextSplitter,
    pub(super) truncation: Truncation,
    pub(super) detail: Detail,
}

impl SegmentEncoder<'_> {
    pub(super) fn encode(self, text: &str) -> anyhow::Result<EncodedSegment> {
        let mut segment = EncodedSegment::default();
        let mut start = PieceStart::default();
        for piece in self.splitter.pieces(text) {
            let input = InputSequence::from(piece.text.as_ref());
            if self.extend(&mut segment, input, Some(&piece), &mut start)? {
                start.character += piece.characters();
            }
        }
        Ok(segment)
    }

    /// Encodes words that are already split; offsets are characters of each word.
    pub(super) fn encode_words(self, words: &[String]) -> anyhow::Result<EncodedSegment> {
        let mut segment = EncodedSegment::default();
        let mut rest = words;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = rest.iter().take_while(|word| {
                let fits = bytes < PIECE_BYTES;
                bytes += word.len() + 1;
                fits
            });
            let (some, after) = rest.split_at(fits.count());
            let mut start = PieceStart {
                character: 0,
                word: (words.len() - rest.len()) as u32,
            };
            self.extend(&mut segment, InputSequence::from(some), None, &mut start)?;
            rest = after;
        }
        Ok(segment)
    }

    /// Appends the tokens of `input`; returns whether their offsets were needed.
    fn extend(
        self,
        segment: &mut EncodedSegment,
        input: InputSequence,
        piece: Option<&TextPiece>,
        start: &mut PieceStart,
    ) -> anyhow::Result<bool> {
        let wanted = if self.truncation.last {
            usize::MAX
        } else {
            self.truncation.tokens.saturating_sub(segment.ids.len())
        };
        let with_offsets = self.detail.offsets && wanted > 0;
        let encoding = guarded(|| {
            let encoding = if with_offsets {
                self.inner.encode_char_offsets(input, false)
            } else {
                self.inner.encode_fast(input, false)
            };
            encoding.map_err(anyhow::Error::from_boxed)
        })?;
        segment.total += encoding.len();
        segment.ids.extend(encoding.get_ids().iter().take(wanted));
        if with_offsets {
            self.extend_offsets(segment, &encoding, wanted, piece, start);
        }
        if self.truncation.last && segment.ids.len() / 2 > self.truncation.tokens {
            segment.truncate(self.truncation);
        }
        Ok(with_offsets)
    }

    fn extend_offsets(
        self,
        segment: &mut EncodedSegment,
        encoding: &tokenizers::Encoding,
        wanted: usize,
        piece: Option<&TextPiece>,
        start: &mut PieceStart,
    ) {
        let place = |character: usize| {
            let character = character as u32;
            start.character + piece.map_or(character, |piece| piece.place(character))
        };
        let offsets = encoding.get_offsets().iter().take(wanted);
        let first_of_the_text = segment.offsets.is_empty();
        for (number, (token, &offsets)) in encoding.get_tokens().iter().zip(offsets).enumerate() {
            let is_first =
                |(from, _): (usize, usize)| (first_of_the_text && number == 0) || place(from) == 0;
            let trimmed = self.trims.iter().fold(offsets, |offsets, trim| {
                trim.apply(token, offsets, is_first(offsets))
            });
            segment.offsets.push((place(trimmed.0), place(trimmed.1)));
        }
        let words = encoding.get_word_ids();
        let kept = words.iter().take(wanted);
        let numbered = kept.map(|word| word.map(|word| word + start.word));
        segment.words.extend(numbered);
        start.word += words.iter().flatten().max().map_or(0, |last| last + 1);
    }
}

impl EncodedSegment {
    pub(super) fn truncate(&mut self, truncation: Truncation) {
        truncate(&mut self.ids, truncation);
        truncate(&mut self.offsets, truncation);
        truncate(&mut self.words, truncation);
    }
}

fn truncate<T>(list: &mut Vec<T>, truncation: Truncation) {
    if truncation.last {
        list.drain(..list.len().saturating_sub(truncation.tokens));
    } else {
        list.truncate(truncation.tokens);
    }
}

#[derive(Default)]
struct PieceStart {
    character: u32,
    word: u32,
}
