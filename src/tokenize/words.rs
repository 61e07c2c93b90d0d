//! The words of a text: which tokens make up a word, and where it is in the text.
//!
//! The words are transformers' `word_ids` of the fast `BertTokenizer`.
//!
//! - The tokens of a word are adjacent in a record, so a word is a range of rows.
//! - Running text is split at white space and punctuation: `don't` is three words. The span of a
//!   word is from its first token's start to its last token's end, as in `word_to_chars`.
//! - The words of a list in the input are repeated as they were given. Their spans are in the list
//!   joined by single spaces.
//! - A word without tokens is left out: it is empty or was dropped. A truncated word has the tokens
//!   that are left and, in running text, their text and span.

use std::ops::Range;

use serde::{Serialize, Serializer};

use super::Encoding;
use crate::input::{Segment, Text};

/// One word of a text, as JSON prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WordSpan {
    /// The word as in the text.
    pub text: String,
    /// `[start, end)` in characters (Unicode scalar values) of its segment.
    pub span: (u32, u32),
    /// Which segment of a pair, 0 or 1; `None` if the text has one segment only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment: Option<u8>,
    /// Its rows in the record.
    #[serde(serialize_with = "ends")]
    pub tokens: Range<usize>,
}

fn ends<S: Serializer>(rows: &Range<usize>, serializer: S) -> Result<S::Ok, S::Error> {
    (rows.start, rows.end).serialize(serializer)
}

/// The words of `text`, the first segment's and then the second's.
pub(crate) fn words(text: &Text, encoding: &Encoding) -> Vec<WordSpan> {
    let second = text.pair.as_deref().map(RunningText::new);
    let mut first = Finder::new(&text.first);
    let mut found = Vec::new();
    for (number, tokens) in word_runs(&encoding.word_ids) {
        let offsets = &encoding.offset_mapping[tokens.clone()];
        let of_second = second.as_ref().filter(|_| {
            encoding
                .second_segment
                .is_some_and(|row| tokens.start >= row)
        });
        let (text, span) = match of_second {
            Some(second) => second.find(offsets),
            None => first.find(number, offsets),
        };
        found.push(WordSpan {
            text,
            span,
            segment: second.is_some().then_some(u8::from(of_second.is_some())),
            tokens,
        });
    }
    found
}

/// The runs of tokens that belong to one word, each with the word's number in its segment.
pub(crate) fn word_runs(word_ids: &[Option<u32>]) -> impl Iterator<Item = (u32, Range<usize>)> {
    let mut start = 0;
    word_ids
        .chunk_by(|one, other| one == other)
        .filter_map(move |run| {
            let tokens = start..start + run.len();
            start = tokens.end;
            run[0].map(|number| (number, tokens))
        })
}

enum Finder<'a> {
    Text(RunningText<'a>),
    Words(WordList<'a>),
}

impl<'a> Finder<'a> {
    fn new(segment: &'a Segment) -> Self {
        match segment {
            Segment::Text(text) => Self::Text(RunningText::new(text)),
            Segment::Words(words) => Self::Words(WordList::new(words)),
        }
    }

    fn find(&mut self, number: u32, offsets: &[(u32, u32)]) -> (String, (u32, u32)) {
        match self {
            Self::Text(text) => text.find(offsets),
            Self::Words(words) => words.find(number as usize),
        }
    }
}

/// A text whose characters can be found by index.
struct RunningText<'a> {
    text: &'a str,
    /// The byte at which each character starts, and the end.
    bytes: Vec<u32>,
}

impl<'a> RunningText<'a> {
    fn new(text: &'a str) -> Self {
        let starts = text.char_indices().map(|(byte, _)| byte);
        let bytes = starts.chain([text.len()]).map(|byte| byte as u32).collect();
        Self { text, bytes }
    }

    /// The text and span of the word whose tokens have `offsets`.
    fn find(&self, offsets: &[(u32, u32)]) -> (String, (u32, u32)) {
        let start = offsets.first().map_or(0, |&(start, _)| start);
        let end = offsets.last().map_or(start, |&(_, end)| end);
        let byte = |character: u32| self.bytes[character as usize] as usize;
        (self.text[byte(start)..byte(end)].to_owned(), (start, end))
    }
}

/// A list of words, read from the first to the last.
struct WordList<'a> {
    words: &'a [String],
    /// The index of the current word.
    number: usize,
    /// Its first character in the words joined by one space.
    character: usize,
}

impl<'a> WordList<'a> {
    fn new(words: &'a [String]) -> Self {
        Self {
            words,
            number: 0,
            character: 0,
        }
    }

    /// The text and span of word `number`, which must not precede the previous one.
    fn find(&mut self, number: usize) -> (String, (u32, u32)) {
        let passed = &self.words[self.number..number];
        self.character += passed
            .iter()
            .map(|word| word.chars().count() + 1)
            .sum::<usize>();
        self.number = number;
        let word = &self.words[number];
        let end = self.character + word.chars().count();
        (word.clone(), (self.character as u32, end as u32))
    }
}
