//! Texts → token ids, as transformers' fast `BertTokenizer` gives them.
//!
//! Owns [`Tokenizer`], the template `[CLS] a [SEP]` and `[CLS] a [SEP] b [SEP]`, truncation
//! (`longest_first`), padding and windows; the only room that uses the `tokenizers` crate.
//! Truncation and padding that a `tokenizer.json` carries are never used: the command line decides.
//!
//! Source: BERT, section 3 (Devlin et al. 2018, arXiv:1810.04805); `BertTokenizer` in transformers.

mod load;
mod options;
mod segment;
mod template;
mod window;
mod words;

use anyhow::anyhow;
use tokenizers::normalizers::{Lowercase, NormalizerWrapper, Sequence};

use crate::error::{Error, Kind, Result};
use crate::input::{self, Text};
pub use options::{OnLong, Padding, TokenOptions};
use segment::Segment;
use template::SpecialTokens;
pub use window::Window;
pub use words::{WordSpan, word_runs, words};

/// The special tokens of one segment: `[CLS]` and `[SEP]`.
pub const SPECIAL_TOKENS: usize = 2;

/// What the records ask of the tokenizer beyond ids.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Detail {
    /// Offsets and word ids; without them encoding is faster.
    pub offsets: bool,
    /// Whether a text is encoded whole: windows would not do.
    pub whole_text: bool,
}

/// One text as the encoder reads it, one entry a token in every list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoding {
    /// Numbers in the vocabulary.
    pub input_ids: Vec<u32>,
    /// 0 for the first segment with its special tokens, 1 for the second, 0 for padding.
    pub token_type_ids: Vec<u32>,
    /// Tokens that are not padding; they come first.
    pub attended: usize,
    /// Whether a token was added by the template or as padding.
    pub special_tokens_mask: Vec<bool>,
    /// `[start, end)` of each token in characters of its own segment; empty without
    /// [`Detail::offsets`].
    pub offset_mapping: Vec<(u32, u32)>,
    /// Number of each token's word in its segment, `None` for special tokens; empty without
    /// [`Detail::offsets`].
    pub word_ids: Vec<Option<u32>>,
    /// Tokens of the text that did not fit.
    pub dropped_tokens: usize,
}

impl Encoding {
    /// The number of tokens, padding included.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.input_ids.len()
    }
}

/// A `WordPiece` tokenizer with BERT's template.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    special: SpecialTokens,
    /// Rows of the word embeddings; every id is below it.
    rows: usize,
}

impl Tokenizer {
    /// The word piece with number `id`, empty where there is none.
    #[must_use]
    pub fn token(&self, id: u32) -> String {
        self.inner.id_to_token(id).unwrap_or_default()
    }

    /// Whether capital letters stay what they are.
    #[must_use]
    pub fn is_cased(&self) -> bool {
        use tokenizers::Normalizer;
        let Some(normalizer) = self.inner.get_normalizer() else {
            return true;
        };
        let mut letter = tokenizers::NormalizedString::from("A");
        normalizer.normalize(&mut letter).is_ok() && letter.get() == "A"
    }

    /// `text` as at most `max_length` tokens.
    ///
    /// # Errors
    /// [`Kind::Internal`] where the tokenizer fails, which no text is known to cause;
    /// [`Kind::Model`] where a token has no word embedding.
    pub fn encode(&self, text: &Text, max_length: usize, detail: Detail) -> Result<Encoding> {
        let fail = |cause: tokenizers::Error| {
            Error::new(Kind::Internal, anyhow!("{cause}")).context("could not tokenize a text")
        };
        let running =
            |text: &String| Segment::encode(&self.inner, text, max_length, detail).map_err(fail);
        let first = match &text.first {
            input::Segment::Text(text) => running(text)?,
            input::Segment::Words(words) => {
                Segment::encode_words(&self.inner, words, max_length, detail).map_err(fail)?
            }
        };
        let second = text.pair.as_ref().map(running).transpose()?;
        let encoding = self.special.assemble(first, second, max_length);
        self.check_ids(&encoding.input_ids)?;
        Ok(encoding)
    }

    /// Lowercases every text before anything else, as `do_lower_case` of sentence-transformers does.
    ///
    /// # Errors
    /// [`Kind::Internal`] if the tokenizer does not take a normalizer.
    pub fn lowercase(&mut self) -> Result<()> {
        let present = self.inner.get_normalizer().cloned();
        if present.as_ref().is_some_and(lowercases) {
            return Ok(());
        }
        let mut normalizers = vec![NormalizerWrapper::Lowercase(Lowercase)];
        normalizers.extend(present);
        let sequence = Sequence::new(normalizers);
        self.inner
            .with_normalizer(Some(sequence))
            .map(|_| ())
            .map_err(|cause| Error::new(Kind::Internal, anyhow!("{cause}")))
    }

    /// A vocabulary may have gaps, so that an id is too large though the tokens are few enough.
    fn check_ids(&self, input_ids: &[u32]) -> Result<()> {
        let rows = self.rows;
        let Some(&id) = input_ids.iter().find(|id| **id as usize >= rows) else {
            return Ok(());
        };
        let token = self.token(id);
        let cause = format!("token `{token}` is number {id}, but there are {rows} word embeddings");
        Err(Error::message(Kind::Model, cause).context("could not use the tokenizer"))
    }

    /// Fills `encoding` up with `[PAD]` to `tokens`; a longer one stays as it is.
    pub fn pad(&self, encoding: &mut Encoding, tokens: usize) {
        let tokens = tokens.max(encoding.tokens());
        encoding.input_ids.resize(tokens, self.special.pad);
        encoding.token_type_ids.resize(tokens, 0);
        encoding.special_tokens_mask.resize(tokens, true);
        if !encoding.offset_mapping.is_empty() {
            encoding.offset_mapping.resize(tokens, (0, 0));
            encoding.word_ids.resize(tokens, None);
        }
    }
}

/// Whether `normalizer` lowercases texts.
fn lowercases(normalizer: &NormalizerWrapper) -> bool {
    match normalizer {
        NormalizerWrapper::BertNormalizer(bert) => bert.lowercase,
        NormalizerWrapper::Lowercase(_) => true,
        NormalizerWrapper::Sequence(parts) => parts.as_ref().iter().any(lowercases),
        _ => false,
    }
}
