//! The fields of a record and what each of them is; which a run has is [`Arguments::record_fields`].
//!
//! [`Arguments::record_fields`]: super::Arguments::record_fields

#![allow(
    clippy::doc_markdown,
    reason = "the doc comments are the help, where backticks show"
)]

use clap::ValueEnum;

/// A field of a record; the names are Hugging Face's where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Field {
    /// Place in the input, from 0
    Index,
    /// The input's own id
    Id,
    /// The text as read, with text_pair where there is a second segment
    Text,
    /// The second segment
    #[value(skip)]
    TextPair,
    /// Word pieces
    Tokens,
    /// Their numbers in the vocabulary
    InputIds,
    /// 0 for the first segment, 1 for the second
    TokenTypeIds,
    /// 1 for real tokens, 0 for `[PAD]`
    AttentionMask,
    /// 1 for `[CLS]`, `[SEP]` and `[PAD]`
    SpecialTokensMask,
    /// [start, end) of each token in characters of its text
    OffsetMapping,
    /// Number of the word that a token belongs to
    WordIds,
    /// Output of the last layer, one vector a token
    LastHiddenState,
    /// Output of the pooler
    PoolerOutput,
    /// Outputs of the layers in --layers
    HiddenStates,
    /// One vector a text, see --pooling
    Embedding,
    /// One vector a word, see --word-pooling: text, span [start, end) in characters of the text
    /// (or of the input's words joined by one space), tokens [start, end) as rows of the record,
    /// vector; in a pair also the segment, 0 or 1. Words that were dropped are left out
    Words,
    /// Tokens of the text that did not fit, always told
    #[value(skip)]
    DroppedTokens,
}

impl Field {
    /// What a record holds when --fields is not given.
    pub const DEFAULT: [Self; 8] = [
        Self::Index,
        Self::Id,
        Self::Tokens,
        Self::InputIds,
        Self::TokenTypeIds,
        Self::AttentionMask,
        Self::LastHiddenState,
        Self::PoolerOutput,
    ];

    /// The field's name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Id => "id",
            Self::Text => "text",
            Self::TextPair => "text_pair",
            Self::Tokens => "tokens",
            Self::InputIds => "input_ids",
            Self::TokenTypeIds => "token_type_ids",
            Self::AttentionMask => "attention_mask",
            Self::SpecialTokensMask => "special_tokens_mask",
            Self::OffsetMapping => "offset_mapping",
            Self::WordIds => "word_ids",
            Self::LastHiddenState => "last_hidden_state",
            Self::PoolerOutput => "pooler_output",
            Self::HiddenStates => "hidden_states",
            Self::Embedding => "embedding",
            Self::Words => "words",
            Self::DroppedTokens => "dropped_tokens",
        }
    }

    /// Whether it is numbers and nothing else.
    #[must_use]
    pub fn is_numeric(self) -> bool {
        !matches!(
            self,
            Self::Id | Self::Text | Self::TextPair | Self::Tokens | Self::Words
        )
    }

    /// Whether a text has one vector of it, whatever its tokens.
    #[must_use]
    pub fn has_fixed_width(self) -> bool {
        matches!(self, Self::PoolerOutput | Self::Embedding)
    }
}
