//! The table of the record's fields. JSON, npy, safetensors, parquet, the preview, the dry run and
//! the help read it; a new field is a row here and its value in `record.rs`.

#![allow(
    clippy::doc_markdown,
    reason = "the doc comments are the help, where backticks show"
)]

use Dimension::{
    AttentionLayers, Embedding, Heads, Hidden, LayerWidth, Layers, Tokens, Two, Words,
};
use Element::{F32, I32, I64, Json, NullableI32, Text, Word};
use Selection::{Always, ByDefault, Filled, Named, With};

use crate::table::table;

/// What is known about a field before a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FieldSpec {
    /// Its name in JSON; Hugging Face's if there is one.
    pub name: &'static str,
    pub element: Element,
    /// Its shape in one record; `[]` is a single element.
    pub shape: &'static [Dimension],
    /// What must be computed to fill it.
    pub source: Source,
    /// When a record has it.
    pub selection: Selection,
    pub is_typed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    /// A count or a place in the input.
    I64,
    /// An id, flag or place of a token.
    I32,
    /// The same, or null.
    NullableI32,
    /// A number of a vector.
    F32,
    Text,
    /// A JSON value, in parquet its text.
    Json,
    /// A word with its vector, see [`Word`](super::Word).
    Word,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dimension {
    Tokens,
    Words,
    Hidden,
    Embedding,
    /// The layers of `hidden_states`; there is no such dimension if they are merged.
    Layers,
    /// The width of a row of `hidden_states`.
    LayerWidth,
    AttentionLayers,
    Heads,
    /// A start and an end.
    Two,
}

/// What must be computed to fill a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Nothing: the input has it.
    Input,
    /// Nothing: the input may have it.
    InputIfAny,
    /// The text becomes tokens.
    Tokenizer,
    /// The text becomes tokens with their offsets.
    Offsets,
    /// The encoder runs to its last layer.
    LastLayer,
    /// The pooler runs; its output is null if the checkpoint has none.
    Pooler,
    /// The encoder runs to the highest layer of `--layers`.
    Layers,
    /// The encoder runs to the highest layer of `--layers` and keeps attention probabilities.
    Attentions,
    /// What `--pooling` needs.
    Pooling,
    /// The encoder runs to its last layer, and tokens have their offsets.
    WordPooling,
}

impl Source {
    pub(crate) fn needs_encoder(self) -> bool {
        match self {
            Self::Input | Self::InputIfAny | Self::Tokenizer | Self::Offsets => false,
            Self::LastLayer
            | Self::Pooler
            | Self::Layers
            | Self::Attentions
            | Self::Pooling
            | Self::WordPooling => true,
        }
    }
}

/// When a record has a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Selection {
    /// Unless `--fields` is given and leaves it out.
    ByDefault,
    /// If `--fields` names it, or the option that fills it is given.
    Named,
    /// If an option fills it.
    Filled,
    /// Together with another field.
    With(Field),
    Always,
}

table! {
    /// A field of a record, in the order in which a record has them.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Field: FieldSpec {
        /// Place in the input, from 0
        Index = row("index", I64, &[], Source::Input, ByDefault);
        /// The input's own id
        Id = row("id", Text, &[], Source::InputIfAny, ByDefault);
        /// The text as read, with text_pair if there is a second segment
        Text = row("text", Text, &[], Source::Input, Named);
        /// The second segment
        TextPair = row("text_pair", Text, &[], Source::InputIfAny, With(Self::Text));
        /// The columns of --keep-columns
        Columns = row("columns", Json, &[], Source::InputIfAny, Filled);
        /// Word pieces
        Tokens = row("tokens", Text, &[Tokens], Source::Tokenizer, ByDefault);
        /// Their numbers in the vocabulary
        InputIds = row("input_ids", I32, &[Tokens], Source::Tokenizer, ByDefault);
        /// 0 for the first segment, 1 for the second
        TokenTypeIds = row("token_type_ids", I32, &[Tokens], Source::Tokenizer, ByDefault);
        /// 1 for real tokens, 0 for `[PAD]`
        AttentionMask = row("attention_mask", I32, &[Tokens], Source::Tokenizer, ByDefault);
        /// 1 for `[CLS]`, `[SEP]` and `[PAD]`
        SpecialTokensMask = row("special_tokens_mask", I32, &[Tokens], Source::Tokenizer, Named);
        /// [start, end) of each token in characters of its text
        OffsetMapping = row("offset_mapping", I32, &[Tokens, Two], Source::Offsets, Named);
        /// Number of the word that a token belongs to
        WordIds = row("word_ids", NullableI32, &[Tokens], Source::Offsets, Named);
        /// Output of the last layer, one vector per token
        LastHiddenState =
            row("last_hidden_state", F32, &[Tokens, Hidden], Source::LastLayer, ByDefault);
        /// Output of the pooler
        PoolerOutput = row("pooler_output", F32, &[Hidden], Source::Pooler, ByDefault);
        /// Outputs of the layers in --layers
        HiddenStates =
            row("hidden_states", F32, &[Layers, Tokens, LayerWidth], Source::Layers, Named);
        /// Attention probabilities of the layers in --layers, or of all: one row per token, with
        /// its weight for each token
        Attentions = row(
            "attentions",
            F32,
            &[AttentionLayers, Heads, Tokens, Tokens],
            Source::Attentions,
            Named
        );
        /// One vector per text, see --pooling
        Embedding = row("embedding", F32, &[Embedding], Source::Pooling, Named);
        /// One vector per word, see --word-pooling: word, its number as in word_ids, text, span
        /// [start, end) in characters of the text (or of the input's words joined by one space),
        /// tokens [start, end) as rows of the record, vector; in a pair also the segment, 0 or 1.
        /// Words that were dropped are left out, unless the input has a list of words: then their
        /// vector is null, in parquet empty
        Words = row("words", Word, &[Words], Source::WordPooling, Named);
        /// Tokens of the text that did not fit; always present
        DroppedTokens = row("dropped_tokens", I64, &[], Source::Tokenizer, Always);
    }
}

const fn row(
    name: &'static str,
    element: Element,
    shape: &'static [Dimension],
    source: Source,
    selection: Selection,
) -> FieldSpec {
    FieldSpec {
        name,
        element,
        shape,
        source,
        selection,
        is_typed: match selection {
            ByDefault | Named => true,
            Filled | With(_) | Always => false,
        },
    }
}

impl Field {
    /// The field's name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// Whether it holds nothing but numbers.
    #[must_use]
    pub fn is_numeric(self) -> bool {
        match self.spec().element {
            Element::I64 | Element::I32 | Element::NullableI32 | Element::F32 => true,
            Element::Text | Element::Json | Element::Word => false,
        }
    }

    /// Whether each text has exactly one vector of it, whatever its number of tokens.
    #[must_use]
    pub fn is_vector(self) -> bool {
        let FieldSpec { element, shape, .. } = self.spec();
        element == F32 && matches!(shape, [Hidden | Embedding])
    }
}
