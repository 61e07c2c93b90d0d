//! Splits a long text into pieces that together give the same tokens as the whole text.
//!
//! The tokenizers crate needs some 60 bytes for each byte of a text, so a line of 16 MiB would take
//! 1 GB. `WordPiece` never looks beyond a word, nor do Unigram and byte-level BPE if the
//! pre-tokenizer splits at spaces; only an added token could reach across a split, so a text is not
//! split where one could be.

use std::borrow::Cow;
use std::collections::HashSet;

use super::added::{MAX_TOKEN_BYTES, Pattern};
use super::split_places::{SplitPlaces, is_ideograph, is_letter, is_ordinary, is_space, lower};

/// Texts up to this many bytes are encoded whole; longer ones in pieces of about this size.
pub(super) const PIECE_BYTES: usize = 1 << 16;

/// What is kept at each end of a word of more than [`PIECE_BYTES`] letters: more characters than a
/// word of the vocabulary can have, and more bytes than an added token.
const KEPT_BYTES: usize = 4 * MAX_TOKEN_BYTES;

/// Where one tokenizer's texts may be split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TextSplitter {
    places: SplitPlaces,
    /// Adjacent characters of added tokens, in lower case, which must stay together.
    pairs: HashSet<(char, char)>,
    /// The first characters, in lower case, of added tokens that include the white space before
    /// them.
    lstrip_starts: HashSet<char>,
    /// The last characters, in lower case, of added tokens that include the white space after them.
    rstrip_ends: HashSet<char>,
    /// Whether the middle of a very long word may be left out.
    shortens_words: bool,
}

impl TextSplitter {
    /// `patterns` are what the added tokens of `inner` match.
    pub(super) fn new(inner: &tokenizers::Tokenizer, patterns: &[Pattern]) -> Self {
        let places = SplitPlaces::of(inner);
        let mut splitter = Self {
            places,
            pairs: HashSet::new(),
            lstrip_starts: HashSet::new(),
            rstrip_ends: HashSet::new(),
            shortens_words: matches!(places, SplitPlaces::Signs | SplitPlaces::Ideographs),
        };
        for Pattern { token, normalized } in patterns {
            let has_space = token.content.contains(char::is_whitespace);
            if (has_space || token.lstrip || token.rstrip) && places != SplitPlaces::Nowhere {
                splitter.places = SplitPlaces::FirstSpaces;
            }
            if token.single_word && splitter.places > SplitPlaces::WhiteSpace {
                splitter.places = SplitPlaces::WhiteSpace;
            }
            for content in [Some(&token.content), normalized.as_ref()]
                .into_iter()
                .flatten()
            {
                if token.lstrip {
                    splitter
                        .lstrip_starts
                        .extend(content.chars().next().map(lower));
                }
                if token.rstrip {
                    splitter
                        .rstrip_ends
                        .extend(content.chars().last().map(lower));
                }
                splitter.keep_pairs(content);
            }
            if let Some(normalized) = normalized {
                // The normalizer puts spaces around ideographs, in texts too.
                splitter.keep_pairs(&normalized.replace(' ', ""));
            }
        }
        splitter
    }

    fn keep_pairs(&mut self, content: &str) {
        let characters = || content.chars().map(lower);
        self.pairs.extend(characters().zip(characters().skip(1)));
        self.shortens_words &= !content.chars().all(is_letter);
    }

    /// Whether a text may be split between `previous` and `next`.
    fn allows(&self, previous: char, next: char) -> bool {
        let is_place = match self.places {
            SplitPlaces::Nowhere => false,
            SplitPlaces::FirstSpaces => next == ' ' && is_ordinary(previous),
            SplitPlaces::WhiteSpace => is_space(next),
            SplitPlaces::Signs => is_space(next) || next.is_ascii_punctuation(),
            SplitPlaces::Ideographs => {
                is_space(next) || next.is_ascii_punctuation() || is_ideograph(next)
            }
        };
        // A normalizer may remove any other character, and then `next` follows what precedes it.
        let stays = previous.is_ascii_graphic() || is_space(previous) || is_ideograph(previous);
        is_place
            && (is_space(next) || stays)
            && !self.pairs.contains(&(lower(previous), lower(next)))
    }

    /// Whether an added token may include the white space at `end`, where a text could otherwise be
    /// split.
    fn is_stripped(&self, text: &str, end: usize) -> bool {
        if self.places != SplitPlaces::FirstSpaces {
            return false;
        }
        let before = text[..end].chars().next_back();
        if before.is_some_and(|last| self.rstrip_ends.contains(&lower(last))) {
            return true;
        }
        let after = text[end..].trim_start().chars().next();
        !self.lstrip_starts.is_empty()
            && after
                .is_some_and(|next| !is_ordinary(next) || self.lstrip_starts.contains(&lower(next)))
    }

    /// Where the first piece of `text` ends, in bytes.
    fn first_end(&self, text: &str) -> usize {
        if text.len() <= PIECE_BYTES || self.places == SplitPlaces::Nowhere {
            return text.len();
        }
        let start = text.floor_char_boundary(PIECE_BYTES);
        let mut previous = '\0';
        for (byte, character) in text[start..].char_indices() {
            let end = start + byte;
            if byte > 0 && self.allows(previous, character) && !self.is_stripped(text, end) {
                return end;
            }
            previous = character;
        }
        text.len()
    }

    pub(super) fn pieces<'a>(&'a self, text: &'a str) -> impl Iterator<Item = TextPiece<'a>> {
        let mut rest = text;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let (piece, after) = rest.split_at(self.first_end(rest));
            rest = after;
            Some(TextPiece::new(piece, self.shortens_words))
        })
    }
}

pub(super) struct TextPiece<'a> {
    pub(super) text: Cow<'a, str>,
    /// Where characters were left out: the index in the characters of `text`, and how many.
    gaps: Vec<(u32, u32)>,
}

impl<'a> TextPiece<'a> {
    /// If `shortens_words`, leaves out the middle of very long words. Such a word is unknown with
    /// or without it, and the middle consists of letters and digits.
    fn new(text: &'a str, shortens_words: bool) -> Self {
        let mut piece = Self {
            text: Cow::Borrowed(text),
            gaps: Vec::new(),
        };
        if shortens_words && text.len() > 2 * PIECE_BYTES {
            let mut short = String::new();
            let mut characters = 0;
            for run in text.split_inclusive(|character| !is_letter(character)) {
                let (head, tail) = ends(run);
                short.push_str(head);
                characters += head.chars().count() as u32;
                let left_out = run[head.len()..run.len() - tail.len()].chars().count() as u32;
                if left_out > 0 {
                    piece.gaps.push((characters, left_out));
                }
                short.push_str(tail);
                characters += tail.chars().count() as u32;
            }
            piece.text = Cow::Owned(short);
        }
        piece
    }

    /// The number of characters, with those that were left out.
    pub(super) fn characters(&self) -> u32 {
        let left_out: u32 = self.gaps.iter().map(|(_, count)| count).sum();
        self.text.chars().count() as u32 + left_out
    }

    /// The index in the whole piece of the character that has index `character` in `text`.
    pub(super) fn place(&self, character: u32) -> u32 {
        let before = self.gaps.iter().take_while(|(place, _)| *place < character);
        character + before.map(|(_, count)| count).sum::<u32>()
    }
}

/// The start and the end of `run`, which together are all of it unless it is long.
fn ends(run: &str) -> (&str, &str) {
    if run.len() <= PIECE_BYTES {
        return (run, "");
    }
    let head = run.floor_char_boundary(KEPT_BYTES);
    let tail = run.ceil_char_boundary(run.len() - KEPT_BYTES);
    (&run[..head], &run[tail..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn splitter(places: SplitPlaces) -> TextSplitter {
        TextSplitter {
            places,
            pairs: HashSet::from([('[', 's'), ('s', 'e')]),
            lstrip_starts: HashSet::new(),
            rstrip_ends: HashSet::new(),
            shortens_words: true,
        }
    }

    #[test]
    fn pieces_are_the_text_and_end_where_words_end() {
        let text = "word ".repeat(40_000) + &"語".repeat(60_000) + &"!".repeat(200_000);
        let splitter = splitter(SplitPlaces::Ideographs);
        let pieces: Vec<_> = splitter.pieces(&text).map(|piece| piece.text).collect();
        assert_eq!(pieces.concat(), text);
        assert!(pieces.len() > 5);
        assert!(pieces.iter().all(|piece| piece.len() < 2 * PIECE_BYTES));
        assert!(pieces[0].ends_with("word"));
    }

    #[test]
    fn no_split_divides_an_added_token_or_touches_what_may_be_removed() {
        let splitter = splitter(SplitPlaces::Ideographs);
        assert!(splitter.allows('a', ' ') && splitter.allows('\u{301}', ' '));
        assert!(splitter.allows('a', '[') && splitter.allows('語', '語'));
        assert!(!splitter.allows('[', 'S') && !splitter.allows('a', 'b'));
        assert!(!splitter.allows('\u{301}', '['), "a mark may be removed");
        assert!(!splitter.allows('a', '\u{c}'), "a form feed is removed");
    }

    #[test]
    fn a_long_word_is_shortened_and_its_offsets_are_kept() {
        let word = "x".repeat(1 << 20);
        let text = format!("a{word}é. b");
        let splitter = splitter(SplitPlaces::Signs);
        let pieces: Vec<_> = splitter.pieces(&text).collect();
        assert_eq!(pieces.len(), 2);
        assert!(pieces[0].text.len() < 3 * KEPT_BYTES);
        assert_eq!(pieces[0].characters(), 3 + (1 << 20));
        assert_eq!(pieces[0].place(1), 1);
        let end = pieces[0].text.chars().count() as u32;
        assert_eq!(pieces[0].place(end), 3 + (1 << 20));
    }
}
