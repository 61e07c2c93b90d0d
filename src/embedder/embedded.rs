//! [`Embedded`], the record of one text.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::shared::Shared;
use crate::input::{Text, TextOrBad};
use crate::model::Output;
use crate::record::{Field, Record, RecordOrBad, TokenizedText, Word};
use crate::tokenize::Encoding;

/// One text with its vectors, or why it has none. Serialized, it is a line of the command's output.
///
/// It owns its values and can outlive the [`Embedder`](crate::Embedder). The tokens are always
/// there; a vector only if [`Options::fields`](crate::Options::fields) or another option includes
/// its field.
pub struct Embedded {
    shared: Arc<Shared>,
    record: RecordOrBad,
    is_encoded: bool,
}

impl Embedded {
    pub(super) fn new(shared: &Arc<Shared>, record: RecordOrBad) -> Self {
        Self {
            shared: Arc::clone(shared),
            record,
            is_encoded: true,
        }
    }

    pub(super) fn tokenized(shared: &Arc<Shared>, text: TextOrBad<TokenizedText>) -> Self {
        Self {
            is_encoded: false,
            ..Self::new(shared, text.map(Record::without_vectors))
        }
    }

    /// The place of the text among the texts, from 0.
    #[must_use]
    pub fn index(&self) -> u64 {
        match &self.record {
            Ok(record) => record.text.text.place.index,
            Err(bad) => bad.place.index,
        }
    }

    /// The text's own id, if it has one.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        let id = match &self.record {
            Ok(record) => record.text.text.id.as_ref(),
            Err(bad) => bad.id.as_ref(),
        };
        Some(id?.as_str())
    }

    /// Why the text has no vectors, if it has none.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.record.as_ref().err().map(|bad| bad.message.as_str())
    }

    /// The text with its prompt; `None` if it is an error.
    #[must_use]
    pub fn text(&self) -> Option<&Text> {
        self.record.as_ref().ok().map(|it| &it.text.text)
    }

    /// The word pieces, `[CLS]` and `[SEP]` among them.
    #[must_use]
    pub fn tokens(&self) -> Vec<String> {
        let ids = self.input_ids().iter();
        ids.map(|&id| self.shared.tokenizer.token(id)).collect()
    }

    /// The ids of the tokens in the vocabulary.
    #[must_use]
    pub fn input_ids(&self) -> &[u32] {
        self.encoding().map_or(&[], |it| &it.input_ids)
    }

    /// The segment of each token: 0, or 1 for the second of a pair.
    #[must_use]
    pub fn token_type_ids(&self) -> &[u32] {
        self.encoding().map_or(&[], |it| &it.token_type_ids)
    }

    /// 1 for each token, 0 for padding.
    #[must_use]
    pub fn attention_mask(&self) -> Vec<u32> {
        let Some(encoding) = self.encoding() else {
            return Vec::new();
        };
        let is_token = |row| u32::from(row < encoding.attended);
        (0..encoding.tokens()).map(is_token).collect()
    }

    /// 1 for each token that the tokenizer added, 0 for tokens of the text.
    #[must_use]
    pub fn special_tokens_mask(&self) -> Vec<u32> {
        let mask = self.encoding().into_iter();
        mask.flat_map(|it| it.special_tokens_mask.iter().copied().map(u32::from))
            .collect()
    }

    /// `[start, end)` of each token in characters of its segment; empty unless
    /// [`Field::OffsetMapping`], [`Field::WordIds`] or [`Field::Words`] is computed.
    #[must_use]
    pub fn offset_mapping(&self) -> &[(u32, u32)] {
        self.encoding().map_or(&[], |it| &it.offset_mapping)
    }

    /// The word that each token belongs to, `None` for special tokens; empty under the same
    /// condition as [`offset_mapping`](Self::offset_mapping).
    #[must_use]
    pub fn word_ids(&self) -> &[Option<u32>] {
        self.encoding().map_or(&[], |it| &it.word_ids)
    }

    /// How many tokens of the text were cut off because they did not fit.
    #[must_use]
    pub fn dropped_tokens(&self) -> usize {
        self.encoding().map_or(0, |it| it.dropped_tokens)
    }

    /// Whether every token of the text is unknown to the vocabulary (`[UNK]`).
    #[must_use]
    pub fn has_only_unknown_tokens(&self) -> bool {
        self.encoding().is_some_and(|it| it.only_unknown)
    }

    /// The output of the last layer, `[tokens × hidden]`, token after token.
    #[must_use]
    pub fn last_hidden_state(&self) -> Option<&[f32]> {
        let record = self.record_with(Field::LastHiddenState)?;
        Some(record.last_hidden_state())
    }

    /// The output of the pooler, `[hidden]`; `None` also if the checkpoint has no pooler.
    #[must_use]
    pub fn pooler_output(&self) -> Option<&[f32]> {
        let record = self.record_with(Field::PoolerOutput)?;
        record.outputs.get(Output::PoolerOutput).map(Vec::as_slice)
    }

    /// The outputs of the layers in [`Options::layers`](crate::Options::layers), each
    /// `[tokens × hidden]`. Merged layers count as one, `[tokens × width]`.
    #[must_use]
    pub fn hidden_states(&self) -> Option<Vec<&[f32]>> {
        let record = self.record_with(Field::HiddenStates)?;
        Some(match &record.merged_layers {
            Some(merged) => vec![merged],
            None => record.layers(Output::hidden_state),
        })
    }

    /// The attention probabilities of each layer, `[heads × tokens × tokens]`.
    #[must_use]
    pub fn attentions(&self) -> Option<Vec<&[f32]>> {
        let record = self.record_with(Field::Attentions)?;
        Some(record.layers(Output::attentions))
    }

    /// The vector of the text, as [`Options::pooling`](crate::Options::pooling) makes it.
    ///
    /// # Shapes
    /// `[hidden]`; a model's own modules or `truncate_dim` can change the width.
    #[must_use]
    pub fn embedding(&self) -> Option<&[f32]> {
        Some(&self.record_with(Field::Embedding)?.embedding)
    }

    /// The words of the text with their vectors.
    #[must_use]
    pub fn words(&self) -> Option<&[Word]> {
        Some(&self.record_with(Field::Words)?.words)
    }

    fn encoding(&self) -> Option<&Encoding> {
        self.record.as_ref().ok().map(Record::encoding)
    }

    /// The record, if the encoder has computed `field`.
    fn record_with(&self, field: Field) -> Option<&Record> {
        let is_computed = self.is_encoded && self.shared.fields.contains(&field);
        self.record.as_ref().ok().filter(|_| is_computed)
    }
}

impl Serialize for Embedded {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let record = match &self.record {
            Ok(record) => record,
            Err(bad) => return bad.serialize(serializer),
        };
        let fields = self.shared.fields.iter().copied();
        let is_there = |field: &Field| self.is_encoded || !field.spec().source.needs_encoder();
        let fields: Vec<_> = fields.filter(is_there).collect();
        let selected = record.selected(&fields, &self.shared.tokenizer);
        selected.serialize(serializer)
    }
}
