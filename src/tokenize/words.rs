//! The words of a text: which tokens make up a word, and where it is in the text.
//!
//! The words are transformers' `word_ids` of the fast `BertTokenizer`.
//!
//! - The tokens of a word are adjacent in a record, so a word is a range of rows.
//! - Running text is split at white space and punctuation: `don't` is three words. The span of a
//!   word is from its first token's start to its last token's end, as in `word_to_chars`.
//! - The words of a list in the input are repeated as they were given. Their spans are in the list
//!   joined by single spaces.
//! - A word of a list always has its entry, so that labels do not shift: without tokens, if it is
//!   blank or was dropped, its range of rows is empty. In running text such a word is left out.
//! - A truncated word has the tokens that are left and, in running text, their text and span.

use std::ops::Range;

use serde::{Serialize, Serializer};

use super::Encoding;
use crate::input::{Segment, Text};

/// One word of a text, as JSON prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WordSpan {
    /// Its number in its segment, as in `word_ids`.
    pub word: u32,
    /// The word as in the text.
    pub text: String,
    /// `[start, end)` in characters (Unicode scalar values) of its segment.
    pub span: (u32, u32),
    /// Which segment of a pair, 0 or 1; `None` if the text has one segment only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment: Option<u8>,
    /// Its rows in the record; empty if it has no tokens.
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
    let (of_first, of_second) = runs_by_segment(encoding);
    let mut found: Vec<WordSpan> = Vec::new();
    let mut add = |word: u32, offsets: &[(u32, u32)], tokens: Range<usize>| {
        let (text, span) = first.find(word, offsets);
        let segment = second.as_ref().map(|_| 0);
        found.push(WordSpan {
            word,
            text,
            span,
            segment,
            tokens,
        });
    };
    let given = given_words(text).unwrap_or(0) as u32;
    let (mut next, mut row) = (0, 1);
    for (word, tokens) in of_first {
        (next..word.min(given)).for_each(|absent| add(absent, &[], tokens.start..tokens.start));
        (next, row) = (word + 1, tokens.end);
        add(word, &encoding.offset_mapping[tokens.clone()], tokens);
    }
    (next..given).for_each(|absent| add(absent, &[], row..row));
    for (word, tokens) in of_second {
        let Some(second) = &second else { break };
        let (text, span) = second.find(&encoding.offset_mapping[tokens.clone()]);
        let segment = Some(1);
        found.push(WordSpan {
            word,
            text,
            span,
            segment,
            tokens,
        });
    }
    found
}

/// How many entries [`words`] returns.
pub(crate) fn word_count(text: &Text, encoding: &Encoding) -> usize {
    let (of_first, of_second) = runs_by_segment(encoding);
    given_words(text).unwrap_or_else(|| of_first.count()) + of_second.count()
}

/// How many words of a list have no tokens.
pub(crate) fn words_without_tokens(text: &Text, encoding: &Encoding) -> usize {
    let given = given_words(text);
    given.map_or(0, |given| {
        given - runs_by_segment(encoding).0.count().min(given)
    })
}

fn given_words(text: &Text) -> Option<usize> {
    match &text.first {
        Segment::Text(_) => None,
        Segment::Words(words) => Some(words.len()),
    }
}

/// The words with tokens of the first segment, and of the second.
fn runs_by_segment(
    encoding: &Encoding,
) -> (impl Iterator<Item = WordRun>, impl Iterator<Item = WordRun>) {
    let second = encoding.second_segment.unwrap_or(usize::MAX);
    let runs = || word_runs(&encoding.word_ids);
    (
        runs().take_while(move |(_, tokens)| tokens.start < second),
        runs().skip_while(move |(_, tokens)| tokens.start < second),
    )
}

/// A word's number in its segment, and its tokens.
type WordRun = (u32, Range<usize>);

/// The runs of tokens that belong to one word, each with the word's number in its segment.
fn word_runs(word_ids: &[Option<u32>]) -> impl Iterator<Item = WordRun> {
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
