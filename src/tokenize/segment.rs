//! One segment of a record: its tokens before the template, the first ones kept, all counted.
//!
//! Owns the chunking that keeps memory small on a long text: `WordPiece` never looks across white
//! space, so a text cut at white space gives the same tokens piece by piece.

use tokenizers::{InputSequence, Result, Tokenizer};

use super::Detail;

/// Texts up to this many bytes are encoded whole; longer ones in chunks of about this size.
const CHUNK_BYTES: usize = 1 << 16;

/// The tokens of one text, without special tokens.
#[derive(Debug, Default)]
pub(super) struct Segment {
    pub(super) ids: Vec<u32>,
    /// In characters of the text; empty without [`Detail::offsets`].
    pub(super) offsets: Vec<(u32, u32)>,
    /// Empty without [`Detail::offsets`].
    pub(super) words: Vec<Option<u32>>,
    /// Tokens of the whole text, kept or not.
    pub(super) total: usize,
}

impl Segment {
    /// The first `keep` tokens of `text` and the number of all.
    pub(super) fn encode(
        tokenizer: &Tokenizer,
        text: &str,
        keep: usize,
        detail: Detail,
    ) -> Result<Self> {
        let mut segment = Self::default();
        let mut start = Start::default();
        for chunk in Chunks(text) {
            let input = InputSequence::from(chunk);
            if segment.extend(tokenizer, input, keep, detail, &mut start)? {
                start.character += chunk.chars().count() as u32;
            }
        }
        Ok(segment)
    }

    /// The same for words that somebody has split already; offsets are characters of each word.
    pub(super) fn encode_words(
        tokenizer: &Tokenizer,
        words: &[String],
        keep: usize,
        detail: Detail,
    ) -> Result<Self> {
        // Few enough that their encoding is small, enough that the call costs nothing.
        const WORDS: usize = 1024;
        let mut segment = Self::default();
        for (number, chunk) in words.chunks(WORDS).enumerate() {
            let mut start = Start {
                character: 0,
                word: (number * WORDS) as u32,
            };
            let input = InputSequence::from(chunk);
            segment.extend(tokenizer, input, keep, detail, &mut start)?;
        }
        Ok(segment)
    }

    /// Whether offsets were kept, too.
    fn extend(
        &mut self,
        tokenizer: &Tokenizer,
        input: InputSequence,
        keep: usize,
        detail: Detail,
        start: &mut Start,
    ) -> Result<bool> {
        let wanted = keep.saturating_sub(self.ids.len());
        let with_offsets = detail.offsets && wanted > 0;
        let encoding = if with_offsets {
            tokenizer.encode_char_offsets(input, false)?
        } else {
            tokenizer.encode_fast(input, false)?
        };
        self.total += encoding.len();
        self.ids.extend(encoding.get_ids().iter().take(wanted));
        if with_offsets {
            self.extend_offsets(&encoding, wanted, start);
        }
        Ok(with_offsets)
    }

    fn extend_offsets(
        &mut self,
        encoding: &tokenizers::Encoding,
        wanted: usize,
        start: &mut Start,
    ) {
        let shift = |&(from, to): &(usize, usize)| {
            (from as u32 + start.character, to as u32 + start.character)
        };
        self.offsets
            .extend(encoding.get_offsets().iter().take(wanted).map(shift));
        let words = encoding.get_word_ids();
        self.words.extend(
            words
                .iter()
                .take(wanted)
                .map(|word| word.map(|word| word + start.word)),
        );
        start.word += words.iter().flatten().max().map_or(0, |last| last + 1);
    }

    /// Keeps the first `tokens` tokens at most.
    pub(super) fn truncate(&mut self, tokens: usize) {
        self.ids.truncate(tokens);
        self.offsets.truncate(tokens);
        self.words.truncate(tokens);
    }
}

/// Where the next chunk starts.
#[derive(Default)]
struct Start {
    character: u32,
    word: u32,
}

/// A text in pieces of about [`CHUNK_BYTES`] that no word crosses.
struct Chunks<'a>(&'a str);

impl<'a> Iterator for Chunks<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        let (chunk, rest) = self.0.split_at(boundary(self.0));
        self.0 = rest;
        Some(chunk)
    }
}

/// The byte at which `text` may be cut: at the first place after [`CHUNK_BYTES`] where a word
/// ends whatever follows.
fn boundary(text: &str) -> usize {
    if text.len() <= CHUNK_BYTES {
        return text.len();
    }
    let characters = text
        .char_indices()
        .skip_while(|&(byte, _)| byte < CHUNK_BYTES);
    let mut previous = '\0';
    for (byte, character) in characters {
        if separates(previous, character) {
            return byte;
        }
        previous = character;
    }
    text.len()
}

/// Whether no word, no accent and no literal special token can reach across from `previous` to
/// `next`: white space, a CJK ideograph (a word of its own), or the same ASCII sign twice.
fn separates(previous: char, next: char) -> bool {
    let sign = next.is_ascii_punctuation() && !matches!(next, '[' | ']');
    next.is_ascii_whitespace() || is_cjk(next) || (sign && previous == next)
}

/// The ideographs that `BertNormalizer` sets apart (`_is_chinese_char` in BERT's tokenization.py),
/// as far as they lie in the basic plane.
fn is_cjk(character: char) -> bool {
    matches!(u32::from(character), 0x4E00..=0x9FFF | 0x3400..=0x4DBF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_the_text_and_end_where_words_end() {
        let text = "word ".repeat(40_000) + &"語".repeat(60_000) + &"!".repeat(200_000);
        let chunks: Vec<_> = Chunks(&text).collect();
        assert_eq!(chunks.concat(), text);
        assert!(chunks.len() > 5);
        assert!(chunks.iter().all(|chunk| chunk.len() < 2 * CHUNK_BYTES));
        assert!(chunks[0].ends_with("word"));
    }
}
