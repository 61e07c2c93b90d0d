//! One text with its vectors, and where the value of each field comes from.

use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{Field, Value, Word};
use crate::input::{BadText, Text};
use crate::model::{Output, Outputs};
use crate::tokenize::{Encoding, Tokenizer};

pub(crate) struct TokenizedText {
    pub(crate) text: Text,
    /// Its tokens, as the record shows them.
    pub(crate) encoding: Encoding,
}

/// One text with what was computed for it.
pub(crate) struct Record {
    pub text: Arc<TokenizedText>,
    /// The encoder's outputs for all of its tokens.
    pub outputs: Outputs<Vec<f32>>,
    /// `[tokens × width]`; `None` if no merged layers are kept.
    pub merged_layers: Option<Vec<f32>>,
    /// `[embedding]`; empty if not selected.
    pub embedding: Vec<f32>,
    /// Empty if not selected.
    pub words: Vec<Word>,
}

/// A record, or the text that could not be embedded.
pub(crate) type RecordOrBad = Result<Record, BadText>;

impl Record {
    /// The record before anything is computed for it.
    #[must_use]
    pub(crate) fn without_vectors(text: TokenizedText) -> Self {
        let pooler_output = (Output::PoolerOutput, Vec::new());
        Self {
            text: Arc::new(text),
            outputs: [pooler_output].into_iter().collect(),
            merged_layers: None,
            embedding: Vec::new(),
            words: Vec::new(),
        }
    }

    #[must_use]
    pub(crate) fn encoding(&self) -> &Encoding {
        &self.text.encoding
    }

    #[must_use]
    pub(crate) fn last_hidden_state(&self) -> &[f32] {
        let rows = self.outputs.get(Output::LastHiddenState);
        rows.map(Vec::as_slice).unwrap_or_default()
    }

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
        let TokenizedText { text, encoding } = &*self.text;
        let list = |values: &'a [u32]| Value::Integers(values.into(), vec![values.len()]);
        let vector = |values: &'a [f32]| Value::Floats(values, vec![values.len()]);
        let tokens = encoding.tokens();
        let rows = |values: &'a [f32]| Value::Floats(values, vec![tokens, values.len() / tokens]);
        Some(match field {
            Field::Index => Value::Number(text.place.index),
            Field::Id => Value::Id(text.id.as_ref()?),
            Field::Text => Value::Segment(&text.first),
            Field::TextPair => Value::Text(text.pair.as_deref()?),
            Field::Columns => Value::Json(text.columns.as_deref()?),
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
            Field::LastHiddenState => rows(self.last_hidden_state()),
            Field::PoolerOutput => {
                let pooler_output = self.outputs.get(Output::PoolerOutput);
                pooler_output.map_or(Value::Null, |values| vector(values))
            }
            Field::HiddenStates => match &self.merged_layers {
                Some(merged) => rows(merged),
                None => layers(self.layers(Output::hidden_state), |values| {
                    vec![tokens, values / tokens]
                }),
            },
            Field::Attentions => layers(self.layers(Output::attentions), |values| {
                vec![values / (tokens * tokens), tokens, tokens]
            }),
            Field::Embedding => vector(&self.embedding),
            Field::Words => Value::Words(&self.words),
            Field::DroppedTokens => Value::Number(encoding.dropped_tokens as u64),
        })
    }

    /// The outputs that have a `layer`, in the order of `--layers`.
    pub(crate) fn layers(&self, layer: impl Fn(Output) -> Option<usize>) -> Vec<&[f32]> {
        let outputs = self.outputs.iter();
        let layers = outputs.filter(|(output, _)| layer(*output).is_some());
        layers.map(|(_, values)| &values[..]).collect()
    }
}

/// The fields of a record that are printed.
struct SelectedFields<'a> {
    record: &'a Record,
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

/// `layers` of one shape, which `shape` makes from the number of values.
fn layers(layers: Vec<&[f32]>, shape: impl Fn(usize) -> Vec<usize>) -> Value<'_> {
    let values = layers.first().map_or(0, |layer| layer.len());
    Value::Layers(layers, shape(values))
}

/// A list of 1 for true and 0 for false.
fn flags(flags: impl Iterator<Item = bool>) -> Value<'static> {
    let values: Vec<_> = flags.map(u32::from).collect();
    let shape = vec![values.len()];
    Value::Integers(values.into(), shape)
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
