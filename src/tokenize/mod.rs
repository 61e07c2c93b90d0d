//! Texts → the same token ids that transformers' `AutoTokenizer` gives.
//!
//! This is the only room that uses the `tokenizers` crate. Of the truncation and padding in a
//! `tokenizer.json`, only the sides are used; the command line decides the rest.
//!
//! Source: BERT, section 3 (Devlin et al. 2018, arXiv:1810.04805); `AutoTokenizer` and
//! `BertTokenizer` in transformers 5.23.

mod added;
mod charsmap;
mod class;
mod json;
mod listed;
mod load;
mod merges;
mod model;
mod model_kind;
mod options;
mod other_classes;
mod parts;
mod segment;
mod settings;
mod split_places;
mod steps;
mod template;
mod text_splitter;
mod tokenizer_json;
mod window;
mod words;

use anyhow::anyhow;
use tokenizers::normalizers::{Lowercase, NormalizerWrapper, Sequence};

use crate::error::{Classify, Error, Kind, Result, one_line};
use crate::guard;
use crate::input::{self, Text};
pub use load::model_max_length;
pub(crate) use options::TokenOptions;
pub use options::{OnLong, Padding};
use segment::{SegmentEncoder, Trim, Truncation};
use template::Template;
use text_splitter::TextSplitter;
pub(crate) use window::Window;
pub use words::WordSpan;
pub(crate) use words::{word_count, words, words_without_tokens};

/// The special tokens of one segment: `[CLS]` and `[SEP]`, or `<s>` and `</s>`.
pub(crate) const SPECIAL_TOKENS: usize = 2;

/// What the records need from the tokenizer besides ids.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Detail {
    /// Offsets and word ids; without them encoding is faster.
    pub offsets: bool,
    /// Whether a text must be encoded as one, not in windows.
    pub whole_text: bool,
}

/// One text as the encoder reads it; each list has one entry per token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoding {
    /// Ids in the vocabulary.
    pub input_ids: Vec<u32>,
    /// In BERT's template 0 for the first segment with its special tokens, 1 for the second, 0 for
    /// padding. All 0 if the tokenizer's `model_input_names` do not hold `token_type_ids`.
    pub token_type_ids: Vec<u32>,
    /// The number of tokens before the padding.
    pub attended: usize,
    /// Whether a token was added by the template or as padding.
    pub special_tokens_mask: Vec<bool>,
    /// `[start, end)` of each token in characters of its own segment; empty without
    /// [`Detail::offsets`].
    pub offset_mapping: Vec<(u32, u32)>,
    /// The index of each token's word in its segment, `None` for special tokens; empty without
    /// [`Detail::offsets`].
    pub word_ids: Vec<Option<u32>>,
    /// Tokens of the text that did not fit.
    pub dropped_tokens: usize,
    /// The row at which the second segment of a pair starts.
    pub second_segment: Option<usize>,
    /// Whether the text has tokens and all that were kept are unknown (`[UNK]`).
    pub only_unknown: bool,
}

impl Encoding {
    /// The number of tokens, padding included.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.input_ids.len()
    }
}

/// A tokenizer of a model that this program runs.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    template: Template,
    trims: Vec<Trim>,
    /// The id of words that the vocabulary lacks.
    unknown: Option<u32>,
    /// `None` if the model has no padding token, or no word embedding for it.
    pad: Option<u32>,
    /// Rows of the word embeddings; only added tokens may have higher ids.
    rows: usize,
    splitter: TextSplitter,
    truncates_left: bool,
    pads_left: bool,
}

impl Tokenizer {
    /// The token with this `id`; empty if there is none.
    #[must_use]
    pub fn token(&self, id: u32) -> String {
        self.inner.id_to_token(id).unwrap_or_default()
    }

    /// Whether the tokenizer distinguishes upper and lower case.
    #[must_use]
    pub fn is_cased(&self) -> bool {
        use tokenizers::Normalizer;
        let Some(normalizer) = self.inner.get_normalizer() else {
            return true;
        };
        let after = guarded(|| {
            let mut letter = tokenizers::NormalizedString::from("A");
            normalizer.normalize(&mut letter).map_err(message)?;
            Ok(letter.get().to_owned())
        });
        after.is_ok_and(|letter| letter == "A")
    }

    /// `text` as at most `max_length` tokens. Check with [`Tokenizer::without_row`] whether the
    /// encoder can take them.
    ///
    /// # Errors
    /// [`Kind::Model`]: the tokenizer fails.
    pub fn encode(&self, text: &Text, max_length: usize, detail: Detail) -> Result<Encoding> {
        let truncation = Truncation {
            tokens: max_length,
            last: self.truncates_left,
        };
        let encoder = SegmentEncoder {
            inner: &self.inner,
            trims: &self.trims,
            splitter: &self.splitter,
            truncation,
            detail,
        };
        let first = match &text.first {
            input::Segment::Text(text) => encoder.encode(text),
            input::Segment::Words(words) => encoder.encode_words(words),
        };
        let second = text.pair.as_ref().map(|pair| encoder.encode(pair));
        let segments = first.and_then(|first| Ok((first, second.transpose()?)));
        let (first, second) = segments
            .kind(Kind::Model)
            .map_err(|error| error.context("could not tokenize a text"))?;
        let layout = self.template.layout(second.is_some());
        let mut encoding = layout.assemble(first, second, truncation);
        encoding.only_unknown = self.is_only_unknown(&encoding);
        Ok(encoding)
    }

    /// Whether `encoding` has tokens of the text, all of them unknown.
    fn is_only_unknown(&self, encoding: &Encoding) -> bool {
        let tokens = encoding.input_ids.iter().zip(&encoding.special_tokens_mask);
        let mut ids = tokens
            .filter(|(_, is_special)| !**is_special)
            .map(|(id, _)| *id);
        let first = ids.next();
        first.is_some() && first == self.unknown && ids.all(|id| Some(id) == self.unknown)
    }

    /// Lowercases every text before anything else, as `do_lower_case` of sentence-transformers
    /// does.
    ///
    /// # Errors
    /// [`Kind::Model`]: the tokenizer fails on its added tokens.
    pub fn lowercase(&mut self) -> Result<()> {
        let present = self.inner.get_normalizer().cloned();
        if present.as_ref().is_some_and(lowercases) {
            return Ok(());
        }
        let mut normalizers = vec![NormalizerWrapper::Lowercase(Lowercase)];
        normalizers.extend(present);
        let sequence = Sequence::new(normalizers);
        guarded(|| {
            self.inner
                .with_normalizer(Some(sequence))
                .map(drop)
                .map_err(message)
        })
        .kind(Kind::Model)
    }

    /// If a token of `encoding` has no row of the word embeddings, an error message about the first
    /// such token: an added token may have an id beyond them.
    #[must_use]
    pub fn without_row(&self, encoding: &Encoding) -> Option<String> {
        let rows = self.rows;
        let mut ids = encoding.input_ids.iter();
        let &id = ids.find(|id| **id as usize >= rows)?;
        let token = one_line(&self.token(id));
        Some(format!(
            "its token `{token}` has id {id}, but there are only {rows} word embeddings"
        ))
    }

    /// Checks that texts can be padded as `padding` says.
    ///
    /// # Errors
    /// [`Kind::Model`]: the tokenizer pads on the left, or has no padding token with a word
    /// embedding.
    pub fn check_padding(&self, padding: Padding) -> Result<()> {
        let cause = match padding {
            Padding::Longest | Padding::MaxLength if self.pads_left => {
                "its padding_side is `left`, only `right` is supported"
            }
            Padding::Longest | Padding::MaxLength if self.pad.is_none() => {
                "it has no pad_token with a word embedding"
            }
            Padding::None | Padding::Longest | Padding::MaxLength => return Ok(()),
        };
        let error = Error::message(Kind::Model, cause);
        Err(error.context("could not pad with the model's tokenizer"))
    }

    /// Pads `encoding` with `[PAD]` to `tokens`. Does nothing if it is longer, or if the tokenizer
    /// has no padding token.
    pub fn pad(&self, encoding: &mut Encoding, tokens: usize) {
        let Some(pad) = self.pad else {
            return;
        };
        let tokens = tokens.max(encoding.tokens());
        encoding.input_ids.resize(tokens, pad);
        encoding.token_type_ids.resize(tokens, 0);
        encoding.special_tokens_mask.resize(tokens, true);
        if !encoding.offset_mapping.is_empty() {
            encoding.offset_mapping.resize(tokens, (0, 0));
            encoding.word_ids.resize(tokens, None);
        }
    }
}

fn message(cause: tokenizers::Error) -> anyhow::Error {
    anyhow::Error::from_boxed(cause)
}

/// Runs `work` of the tokenizers crate, which panics on some file contents; a panic prints nothing
/// and becomes an error.
fn guarded<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let failed = || Err(anyhow!("the tokenizer failed on the content of the file"));
    guard::guarded(work).unwrap_or_else(failed)
}

fn lowercases(normalizer: &NormalizerWrapper) -> bool {
    match normalizer {
        NormalizerWrapper::BertNormalizer(bert) => bert.lowercase,
        NormalizerWrapper::Lowercase(_) => true,
        NormalizerWrapper::Sequence(parts) => parts.as_ref().iter().any(lowercases),
        _ => false,
    }
}
