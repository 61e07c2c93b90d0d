//! One text with its vectors, and where the value of each field comes from.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{Field, Value, Word};
use crate::input::{BadText, Text};
use crate::tokenize::{Encoding, Tokenizer};

/// One text with what was computed for it.
pub(crate) struct Record<'a> {
    /// The text as read.
    pub text: &'a Text,
    /// Its tokens.
    pub encoding: &'a Encoding,
    /// The model's hidden size.
    pub hidden: usize,
    /// `[tokens × hidden]`; empty if not asked for.
    pub last_hidden_state: &'a [f32],
    /// `[hidden]`; `None` if the checkpoint has no pooler.
    pub pooler_output: Option<&'a [f32]>,
    /// The layers asked for.
    pub hidden_states: LayerOutputs<'a>,
    /// `[layers][heads × tokens × tokens]`; empty if not asked for.
    pub attentions: Vec<&'a [f32]>,
    /// `[embedding]`; empty if not asked for.
    pub embedding: Vec<f32>,
    /// Empty if not asked for.
    pub words: Vec<Word>,
}

/// The outputs of the layers asked for, merged or not.
pub(crate) enum LayerOutputs<'a> {
    /// `[layers][tokens × hidden]`
    Apart(Vec<&'a [f32]>),
    /// `[tokens × width]`
    Merged {
        /// The rows end to end.
        rows: &'a [f32],
        /// The width of a row.
        width: usize,
    },
}

impl<'a> Record<'a> {
    /// The record before anything is computed for it.
    #[must_use]
    pub(crate) fn without_numbers(text: &'a Text, encoding: &'a Encoding) -> Self {
        Self {
            text,
            encoding,
            hidden: 1,
            last_hidden_state: &[],
            pooler_output: Some(&[]),
            hidden_states: LayerOutputs::Apart(Vec::new()),
            attentions: Vec::new(),
            embedding: Vec::new(),
            words: Vec::new(),
        }
    }
}

impl Record<'_> {
    /// The record as JSON has it, with these fields in order.
    #[must_use]
    pub(crate) fn selected<'a>(
        &'a self,
        fields: &'a [Field],
        tokenizer: &'a Tokenizer,
    ) -> impl Serialize {
        SelectedFields {
            record: self,
            fields,
            tokenizer,
        }
    }

    /// The value of `field`; `None` if the record does not have it.
    #[must_use]
    pub(crate) fn value<'a>(&'a self, field: Field, tokenizer: &'a Tokenizer) -> Option<Value<'a>> {
        let encoding = self.encoding;
        let list = |values: &'a [u32]| Value::Integers(values.into(), vec![values.len()]);
        let vector = |values: &'a [f32]| Value::Floats(values, vec![values.len()]);
        Some(match field {
            Field::Index => Value::Number(self.text.place.index),
            Field::Id => Value::Id(self.text.id.as_ref()?),
            Field::Text => Value::Segment(&self.text.first),
            Field::TextPair => Value::Text(self.text.pair.as_deref()?),
            Field::Columns => Value::Json(self.text.columns.as_deref()?),
            Field::Tokens => Value::Tokens(&encoding.input_ids, tokenizer),
            Field::InputIds => list(&encoding.input_ids),
            Field::TokenTypeIds => list(&encoding.token_type_ids),
            Field::AttentionMask => {
                flags((0..encoding.tokens()).map(|place| place < encoding.attended))
            }
            Field::SpecialTokensMask => flags(encoding.special_tokens_mask.iter().copied()),
            Field::OffsetMapping => {
                let ends = encoding.offset_mapping.iter();
                let ends = ends.flat_map(|&(start, end)| [start, end]).collect();
                Value::Integers(ends, vec![encoding.offset_mapping.len(), 2])
            }
            Field::WordIds => Value::NullableIntegers(&encoding.word_ids),
            Field::LastHiddenState => rows(self.last_hidden_state, self.hidden),
            Field::PoolerOutput => self.pooler_output.map_or(Value::Null, vector),
            Field::HiddenStates => match &self.hidden_states {
                LayerOutputs::Merged {
                    rows: merged,
                    width,
                } => rows(merged, *width),
                LayerOutputs::Apart(layers) => {
                    Value::Layers(layers, vec![encoding.tokens(), self.hidden])
                }
            },
            Field::Attentions => {
                let tokens = encoding.tokens();
                let numbers = self.attentions.first().map_or(0, |layer| layer.len());
                let heads = numbers / (tokens * tokens).max(1);
                Value::Layers(&self.attentions, vec![heads, tokens, tokens])
            }
            Field::Embedding => vector(&self.embedding),
            Field::Words => Value::Words(&self.words),
            Field::DroppedTokens => Value::Number(encoding.dropped_tokens as u64),
        })
    }
}

/// The fields of a record that are printed.
struct SelectedFields<'a> {
    record: &'a Record<'a>,
    fields: &'a [Field],
    tokenizer: &'a Tokenizer,
}

impl Serialize for SelectedFields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for &field in self.fields {
            if let Some(value) = self.record.value(field, self.tokenizer) {
                map.serialize_entry(field.name(), &value)?;
            }
        }
        map.end()
    }
}

/// A list of 1 for true and 0 for false.
fn flags(flags: impl Iterator<Item = bool>) -> Value<'static> {
    let values: Vec<_> = flags.map(u32::from).collect();
    let shape = vec![values.len()];
    Value::Integers(values.into(), shape)
}

/// Rows of `width` numbers.
fn rows(values: &[f32], width: usize) -> Value<'_> {
    Value::Floats(values, vec![values.len() / width, width])
}

/// The record of a text that could not be embedded.
impl BadText {
    /// The value of `field`; `None` if a text has it only when it is embedded.
    #[must_use]
    pub(crate) fn value(&self, field: Field) -> Option<Value<'_>> {
        match field {
            Field::Index => Some(Value::Number(self.place.index)),
            Field::Id => self.id.as_ref().map(Value::Id),
            Field::Columns => self.columns.as_deref().map(Value::Json),
            Field::Text
            | Field::TextPair
            | Field::Tokens
            | Field::InputIds
            | Field::TokenTypeIds
            | Field::AttentionMask
            | Field::SpecialTokensMask
            | Field::OffsetMapping
            | Field::WordIds
            | Field::LastHiddenState
            | Field::PoolerOutput
            | Field::HiddenStates
            | Field::Attentions
            | Field::Embedding
            | Field::Words
            | Field::DroppedTokens => None,
        }
    }
}

impl Serialize for BadText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for field in [Field::Index, Field::Id, Field::Columns] {
            if let Some(value) = self.value(field) {
                map.serialize_entry(field.name(), &value)?;
            }
        }
        let error = ErrorValue {
            kind: "input",
            message: &self.message,
            file: self.place.file.as_deref(),
            line: self.place.line,
        };
        map.serialize_entry("error", &error)?;
        map.end()
    }
}

/// What a bad record has instead of vectors.
#[derive(serde::Serialize)]
struct ErrorValue<'a> {
    kind: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
}
