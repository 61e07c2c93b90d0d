//! A model's directory → a [`Tokenizer`]: `tokenizer.json`, or `vocab.txt` alone.
//!
//! Owns the refusal of tokenizers that are not BERT's: another model than `WordPiece`, a template
//! without `[CLS]` and `[SEP]`.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use tokenizers::models::ModelWrapper;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{AddedToken, Tokenizer as Inner};

use super::Tokenizer;
use super::template::SpecialTokens;
use crate::error::{Classify, Error, Kind, Result};

/// The largest file that is read as a tokenizer; BERT's multilingual one has 2 MB.
const MAX_FILE_BYTES: u64 = 64 << 20;

impl Tokenizer {
    /// The tokenizer of the model in `directory`, whose word embeddings have `rows` rows.
    ///
    /// # Errors
    /// [`Kind::Model`] where there is none, or it is damaged, not BERT's, or has more tokens than
    /// the embeddings have rows.
    pub fn load(directory: &Path, rows: usize) -> Result<Self> {
        let json = directory.join("tokenizer.json");
        let vocab = directory.join("vocab.txt");
        let (path, read): (_, fn(&Path) -> anyhow::Result<Inner>) = if json.exists() {
            (json, read_tokenizer_json)
        } else if vocab.exists() {
            (vocab, read_vocab_txt)
        } else {
            let what = format!("could not read the tokenizer of `{}`", directory.display());
            return Err(Error::message(
                Kind::Model,
                "neither tokenizer.json nor vocab.txt is there",
            )
            .context(what));
        };
        read(&path)
            .and_then(|inner| Self::new(inner, rows))
            .with_context(|| format!("could not read `{}`", path.display()))
            .kind(Kind::Model)
    }

    /// # Errors
    /// A template that is not BERT's, more tokens than `rows`.
    fn new(mut inner: Inner, rows: usize) -> anyhow::Result<Self> {
        inner.with_padding(None);
        inner.with_truncation(None).map_err(message)?;
        ensure!(
            matches!(inner.get_model(), ModelWrapper::WordPiece(_)),
            "its model is {}: only WordPiece is BERT's",
            model_name(inner.get_model())
        );
        let special = special_tokens(&inner)?;
        // Counted, not listed: a copy of the vocabulary takes longer than a sentence's layers.
        let tokens = inner.get_vocab_size(true);
        ensure!(
            tokens <= rows,
            "it has {tokens} tokens, but the word embeddings have {rows} rows"
        );
        Ok(Self {
            inner,
            special,
            rows,
        })
    }
}

/// The tokens of the template, found by what it does to an empty text and an empty pair.
fn special_tokens(inner: &Inner) -> anyhow::Result<SpecialTokens> {
    let single = inner.encode("", true).map_err(message)?;
    let pair = inner.encode(("", ""), true).map_err(message)?;
    let (&[cls, sep], &[pair_cls, first_sep, second_sep]) = (single.get_ids(), pair.get_ids())
    else {
        bail!(
            "its template is not BERT's `[CLS] a [SEP] b [SEP]`: it adds {} and {} tokens to a text and a pair",
            single.len(),
            pair.len()
        );
    };
    ensure!(
        pair_cls == cls
            && first_sep == sep
            && second_sep == sep
            && pair.get_type_ids() == [0, 0, 1],
        "its template is not BERT's `[CLS] a [SEP] b [SEP]` with types 0 and 1"
    );
    let unknown = inner.token_to_id("[UNK]");
    let pad = inner.token_to_id("[PAD]");
    ensure!(unknown.is_some(), "it has no `[UNK]`");
    Ok(SpecialTokens {
        cls,
        sep,
        pad: pad.context("it has no `[PAD]`")?,
    })
}

fn read_tokenizer_json(path: &Path) -> anyhow::Result<Inner> {
    Inner::from_bytes(read_capped(path)?).map_err(message)
}

/// The tokenizer that `BertTokenizer` makes of a vocabulary, with the switches of
/// `tokenizer_config.json` where there is one.
fn read_vocab_txt(path: &Path) -> anyhow::Result<Inner> {
    let bytes = read_capped(path)?;
    std::str::from_utf8(&bytes).context("it is not UTF-8")?;
    let vocab = WordPiece::read_bytes(&bytes).map_err(message)?;
    let id = |token: &str| {
        let id = vocab.get(token).copied();
        id.map(|id| (token.to_owned(), id))
            .with_context(|| format!("it has no `{token}`"))
    };
    let processing = BertProcessing::new(id("[SEP]")?, id("[CLS]")?);
    id("[UNK]")?;
    let model = WordPiece::builder().vocab(vocab).build().map_err(message)?;
    let mut inner = Inner::new(model);
    let config = read_config(&path.with_file_name("tokenizer_config.json"))?;
    let normalizer = BertNormalizer::new(
        true,
        config.tokenize_chinese_chars,
        config.strip_accents,
        config.do_lower_case,
    );
    inner.with_normalizer(Some(normalizer)).map_err(message)?;
    inner.with_pre_tokenizer(Some(BertPreTokenizer));
    inner.with_post_processor(Some(processing));
    let special = ["[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"];
    let known = special
        .into_iter()
        .filter(|token| inner.token_to_id(token).is_some());
    let added: Vec<_> = known.map(|token| AddedToken::from(token, true)).collect();
    inner.add_special_tokens(added).map_err(message)?;
    Ok(inner)
}

/// What `tokenizer_config.json` says about the normalizer; the defaults are `BertTokenizer`'s.
#[derive(serde::Deserialize)]
#[serde(default)]
struct TokenizerConfig {
    do_lower_case: bool,
    strip_accents: Option<bool>,
    tokenize_chinese_chars: bool,
}

impl Default for TokenizerConfig {
    fn default() -> Self {
        Self {
            do_lower_case: true,
            strip_accents: None,
            tokenize_chinese_chars: true,
        }
    }
}

fn read_config(path: &Path) -> anyhow::Result<TokenizerConfig> {
    if !path.exists() {
        return Ok(TokenizerConfig::default());
    }
    let bytes = read_capped(path)?;
    serde_json::from_slice(&bytes).with_context(|| format!("could not read `{}`", path.display()))
}

fn read_capped(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)?;
    ensure!(
        bytes.len() as u64 <= MAX_FILE_BYTES,
        "it is larger than 64 MiB"
    );
    Ok(bytes)
}

fn model_name(model: &ModelWrapper) -> &'static str {
    match model {
        ModelWrapper::BPE(_) => "BPE",
        ModelWrapper::WordPiece(_) => "WordPiece",
        ModelWrapper::WordLevel(_) => "WordLevel",
        ModelWrapper::Unigram(_) => "Unigram",
    }
}

fn message(cause: tokenizers::Error) -> anyhow::Error {
    anyhow::Error::from_boxed(cause)
}
