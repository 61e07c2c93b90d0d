//! One segment of a record before the template: the tokens that are kept, and the count of all.

use tokenizers::{InputSequence, Tokenizer};

use super::cuts::{Cuts, PIECE_BYTES, Piece};
use super::{Detail, guarded};

/// Which tokens of a text are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep {
    /// How many at most.
    pub(super) tokens: usize,
    /// Whether they are the last ones.
    pub(super) last: bool,
}

impl Keep {
    /// The same for `tokens` fewer.
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
    /// Tokens of the whole text, kept or not.
    pub(super) total: usize,
}

/// How texts are encoded.
#[derive(Clone, Copy)]
pub(super) struct SegmentEncoder<'a> {
    pub(super) inner: &'a Tokenizer,
    pub(super) cuts: &'a Cuts,
    pub(super) keep: Keep,
    pub(super) detail: Detail,
}

impl SegmentEncoder<'_> {
    /// The tokens of `text` to keep and the number of all.
    pub(super) fn encode(self, text: &str) -> anyhow::Result<EncodedSegment> {
        let mut segment = EncodedSegment::default();
        let mut start = Start::default();
        for piece in self.cuts.pieces(text) {
            let input = InputSequence::from(piece.text.as_ref());
            if self.extend(&mut segment, input, Some(&piece), &mut start)? {
                start.character += piece.characters();
            }
        }
        Ok(segment)
    }

    /// The same for words that are given one by one; offsets are characters of each word.
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
            let mut start = Start {
                character: 0,
                word: (words.len() - rest.len()) as u32,
            };
            self.extend(&mut segment, InputSequence::from(some), None, &mut start)?;
            rest = after;
        }
        Ok(segment)
    }

    /// Appends the tokens of `input`; true if their offsets were kept too.
    fn extend(
        self,
        segment: &mut EncodedSegment,
        input: InputSequence,
        piece: Option<&Piece>,
        start: &mut Start,
    ) -> anyhow::Result<bool> {
        let wanted = if self.keep.last {
            usize::MAX
        } else {
            self.keep.tokens.saturating_sub(segment.ids.len())
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
            segment.extend_offsets(&encoding, wanted, piece, start);
        }
        if self.keep.last && segment.ids.len() / 2 > self.keep.tokens {
            segment.truncate(self.keep);
        }
        Ok(with_offsets)
    }
}

impl EncodedSegment {
    fn extend_offsets(
        &mut self,
        encoding: &tokenizers::Encoding,
        wanted: usize,
        piece: Option<&Piece>,
        start: &mut Start,
    ) {
        let place = |character: usize| {
            let character = character as u32;
            start.character + piece.map_or(character, |piece| piece.place(character))
        };
        let offsets = encoding.get_offsets().iter().take(wanted);
        self.offsets
            .extend(offsets.map(|&(from, to)| (place(from), place(to))));
        let words = encoding.get_word_ids();
        let kept = words.iter().take(wanted);
        self.words
            .extend(kept.map(|word| word.map(|word| word + start.word)));
        start.word += words.iter().flatten().max().map_or(0, |last| last + 1);
    }

    /// Keeps `keep` of the tokens.
    pub(super) fn truncate(&mut self, keep: Keep) {
        truncate(&mut self.ids, keep);
        truncate(&mut self.offsets, keep);
        truncate(&mut self.words, keep);
    }
}

fn truncate<T>(list: &mut Vec<T>, keep: Keep) {
    if keep.last {
        list.drain(..list.len().saturating_sub(keep.tokens));
    } else {
        list.truncate(keep.tokens);
    }
}

/// Where the next piece starts.
#[derive(Default)]
struct Start {
    character: u32,
    word: u32,
}
