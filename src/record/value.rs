//! The value of one field as JSON prints it.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::input::{Id, Segment};
use crate::tokenize::{Tokenizer, WordSpan};

/// One word of a text with its vector.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Word {
    #[serde(flatten)]
    /// The word and its place in the text.
    pub span: WordSpan,
    /// `[hidden]`, or as wide as the merged layers; `None` if the word has no tokens.
    pub vector: Option<Vec<f32>>,
}

#[derive(Clone)]
pub(crate) enum Value<'a> {
    /// There is none.
    Null,
    Number(u64),
    Text(&'a str),
    /// A string, or a list of words.
    Segment(&'a Segment),
    /// JSON as it is written.
    Json(&'a str),
    /// The input's own id.
    Id(&'a Id),
    /// The word pieces of these ids.
    Tokens(&'a [u32], &'a Tokenizer),
    /// Integers of a shape.
    Integers(Cow<'a, [u32]>, Vec<usize>),
    /// A list of integers, some of them null.
    NullableIntegers(&'a [Option<u32>]),
    /// A tensor of a shape.
    Floats(&'a [f32], Vec<usize>),
    /// A tensor in parts, one for each layer, and the shape of a part.
    Layers(Vec<&'a [f32]>, Vec<usize>),
    /// One object a word.
    Words(&'a [Word]),
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_none(),
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Segment(Segment::Text(text)) => serializer.serialize_str(text),
            Self::Segment(Segment::Words(words)) => serializer.collect_seq(words),
            Self::Json(json) => raw(json)?.serialize(serializer),
            Self::Id(id) => id.serialize(serializer),
            Self::Tokens(ids, tokenizer) => {
                serializer.collect_seq(ids.iter().map(|&id| tokenizer.token(id)))
            }
            Self::Integers(values, shape) => Nested(values, shape).serialize(serializer),
            Self::NullableIntegers(values) => serializer.collect_seq(*values),
            Self::Floats(values, shape) => Nested(values, shape).serialize(serializer),
            Self::Layers(layers, shape) => {
                serializer.collect_seq(layers.iter().map(|layer| Nested(layer, shape)))
            }
            Self::Words(words) => serializer.collect_seq(*words),
        }
    }
}

fn raw<E: serde::ser::Error>(json: &str) -> Result<&RawValue, E> {
    serde_json::from_str(json).map_err(E::custom)
}

/// Numbers as nested lists, one level per dimension of the shape.
struct Nested<'a, T>(&'a [T], &'a [usize]);

impl<T: Serialize> Serialize for Nested<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(values, shape) = self;
        match shape {
            [] | [_] => serializer.collect_seq(*values),
            [_, inner @ ..] => {
                let row = inner.iter().product::<usize>().max(1);
                serializer.collect_seq(values.chunks_exact(row).map(|row| Nested(row, inner)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_nest_as_deep_as_their_shape() {
        let json = |value: Value| serde_json::to_string(&value).expect("it prints");
        let (first, second) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]);
        assert_eq!(
            json(Value::Floats(&first, vec![2, 2])),
            "[[1.0,2.0],[3.0,4.0]]"
        );
        assert_eq!(
            json(Value::Layers(vec![&first, &second], vec![1, 2, 2])),
            "[[[[1.0,2.0],[3.0,4.0]]],[[[5.0,6.0],[7.0,8.0]]]]"
        );
        assert_eq!(json(Value::Floats(&[], vec![0, 8])), "[]");
        assert_eq!(
            json(Value::Integers(vec![0, 3].into(), vec![1, 2])),
            "[[0,3]]"
        );
    }
}
