//! One text with its numbers, and the JSON value of each of its fields.
//!
//! Owns the shapes of the fields; their names are [`Field::name`].

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::Field;
use super::Word;
use crate::input::{BadText, Id, Segment, Text};
use crate::output::Context;
use crate::tokenize::Encoding;

/// One text with what was computed for it.
pub struct Record<'a> {
    /// Place in the input, from 0.
    pub index: u64,
    /// The text as read.
    pub text: &'a Text,
    /// Its tokens.
    pub encoding: &'a Encoding,
    /// Width of a row.
    pub hidden: usize,
    /// `[tokens × hidden]`; empty where not wanted.
    pub last_hidden_state: &'a [f32],
    /// `[hidden]`; `None` where the checkpoint has no pooler.
    pub pooler_output: Option<&'a [f32]>,
    /// The layers asked for.
    pub hidden_states: HiddenStates<'a>,
    /// `[hidden]`; empty where not wanted.
    pub embedding: Vec<f32>,
    /// Empty where not wanted.
    pub words: Vec<Word>,
}

/// The layers asked for, apart or merged.
pub enum HiddenStates<'a> {
    /// `[layers][tokens × hidden]`
    Apart(Vec<&'a [f32]>),
    /// `[tokens × width]`
    Merged {
        /// The rows end to end.
        rows: &'a [f32],
        /// Width of a row.
        width: usize,
    },
}

/// A text that could not be embedded.
pub struct BadRecord {
    /// Place in the input, from 0.
    pub index: u64,
    /// Why, with the text's id and place.
    pub bad: BadText,
}

impl<'a> Record<'a> {
    /// The record before anything is computed for it.
    #[must_use]
    pub fn without_numbers(index: u64, text: &'a Text, encoding: &'a Encoding) -> Self {
        Self {
            index,
            text,
            encoding,
            hidden: 1,
            last_hidden_state: &[],
            pooler_output: Some(&[]),
            hidden_states: HiddenStates::Apart(Vec::new()),
            embedding: Vec::new(),
            words: Vec::new(),
        }
    }
}

impl Record<'_> {
    /// The value of `field`, `None` where this record has none.
    #[must_use]
    pub fn value<'a>(&'a self, field: Field, context: Context<'a>) -> Option<Value<'a>> {
        let encoding = self.encoding;
        Some(match field {
            Field::Index => Value::Number(self.index),
            Field::Id => Value::Id(self.text.id.as_ref()?),
            Field::Text => Value::Segment(&self.text.first),
            Field::TextPair => Value::Text(self.text.pair.as_deref()?),
            Field::Tokens => Value::Tokens(&encoding.input_ids, context),
            Field::InputIds => Value::Ids(&encoding.input_ids),
            Field::TokenTypeIds => Value::Ids(&encoding.token_type_ids),
            Field::AttentionMask => Value::Mask(encoding.attended, encoding.tokens()),
            Field::SpecialTokensMask => Value::Bits(&encoding.special_tokens_mask),
            Field::OffsetMapping => Value::Offsets(&encoding.offset_mapping),
            Field::WordIds => Value::WordIds(&encoding.word_ids),
            Field::LastHiddenState => Value::Rows(self.last_hidden_state, self.hidden),
            Field::PoolerOutput => Value::Vector(self.pooler_output),
            Field::HiddenStates => self.states(),
            Field::Embedding => Value::Vector(Some(&self.embedding)),
            Field::Words => Value::Words(&self.words),
            Field::DroppedTokens => Value::Number(encoding.dropped_tokens as u64),
        })
    }

    fn states(&self) -> Value<'_> {
        match &self.hidden_states {
            HiddenStates::Apart(layers) => Value::Layers(layers, self.hidden),
            HiddenStates::Merged { rows, width } => Value::Rows(rows, *width),
        }
    }
}

impl Serialize for BadRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let BadText { message, id, place } = &self.bad;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("index", &self.index)?;
        if let Some(id) = id {
            map.serialize_entry("id", id)?;
        }
        let error = ErrorValue {
            kind: "input",
            message,
            file: place.file.as_deref(),
            line: place.line,
        };
        map.serialize_entry("error", &error)?;
        map.end()
    }
}

/// What stands in a record instead of vectors.
#[derive(serde::Serialize)]
struct ErrorValue<'a> {
    kind: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
}

/// One field's value as JSON prints it.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// A count.
    Number(u64),
    /// A string.
    Text(&'a str),
    /// A string, or a list of words.
    Segment(&'a Segment),
    /// The input's own name.
    Id(&'a Id),
    /// The word pieces of the ids.
    Tokens(&'a [u32], Context<'a>),
    /// One number a token.
    Ids(&'a [u32]),
    /// So many ones, filled up with zeros to so many.
    Mask(usize, usize),
    /// Zeros and ones.
    Bits(&'a [bool]),
    /// `[start, end)` a token.
    Offsets(&'a [(u32, u32)]),
    /// A word's number, or null, a token.
    WordIds(&'a [Option<u32>]),
    /// `[width]`, or null.
    Vector(Option<&'a [f32]>),
    /// `[rows × width]` as a list of rows.
    Rows(&'a [f32], usize),
    /// `[layers][rows × width]` as lists of rows.
    Layers(&'a [&'a [f32]], usize),
    /// One object a word.
    Words(&'a [Word]),
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Number(number) => serializer.serialize_u64(number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Segment(Segment::Text(text)) => serializer.serialize_str(text),
            Self::Segment(Segment::Words(words)) => serializer.collect_seq(words),
            Self::Id(id) => id.serialize(serializer),
            Self::Tokens(ids, context) => {
                serializer.collect_seq(ids.iter().map(|&id| context.tokenizer.token(id)))
            }
            Self::Ids(ids) => serializer.collect_seq(ids),
            Self::Mask(ones, length) => {
                serializer.collect_seq((0..length).map(|place| u8::from(place < ones)))
            }
            Self::Bits(bits) => serializer.collect_seq(bits.iter().map(|&bit| u8::from(bit))),
            Self::Offsets(offsets) => serializer.collect_seq(offsets),
            Self::WordIds(word_ids) => serializer.collect_seq(word_ids),
            Self::Words(words) => serializer.collect_seq(words),
            Self::Vector(vector) => vector.serialize(serializer),
            Self::Rows(values, width) => serializer.collect_seq(values.chunks_exact(width)),
            Self::Layers(layers, width) => {
                serializer.collect_seq(layers.iter().map(|layer| Value::Rows(layer, width)))
            }
        }
    }
}
