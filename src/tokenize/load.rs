//! A model's directory → a [`Tokenizer`]: the one that `AutoTokenizer` of transformers 5.23 builds
//! from the same files, or a refusal.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use tokenizers::models::wordpiece::{WordPiece, WordPieceBuilder};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{AddedToken, Model as _};

use super::added;
use super::class::Class;
use super::json::{Entries, Json, parse_object};
use super::parts;
use super::settings::{ConfigFiles, TokenizerSettings};
use super::template::SpecialTokens;
use super::text_splitter::TextSplitter;
use super::tokenizer_json::{Model, TokenizerJson, Vocabulary};
use super::{Tokenizer, guarded};
use crate::checkpoint::directory::{could_not_use, read_optional};
use crate::checkpoint::files;
use crate::error::{Classify, Error, Kind, Result};

/// The size limit of a vocabulary file; BERT's multilingual one has 2 MB.
const MAX_TOKENIZER_BYTES: u64 = 64 << 20;

/// The size limit of the other files; 50,000 added tokens have 9 MB.
const MAX_CONFIG_BYTES: u64 = 16 << 20;

/// The work for a word grows with the cube of its characters; BERT's own limit is 100.
const MAX_CHARS_PER_WORD: u64 = 1_000;

/// The prefix is copied for every part of a word that is looked up; BERT's own has 2 bytes.
const MAX_PREFIX_BYTES: usize = 64;

const TOKENIZER_CONFIG: &str = "tokenizer_config.json";

impl Tokenizer {
    /// The tokenizer of the model in `directory`, whose word embeddings have `rows` rows.
    ///
    /// # Errors
    /// [`Kind::Model`]: it is missing, damaged or not BERT's, or its vocabulary has more tokens
    /// than the embeddings have rows.
    pub fn load(directory: &Path, rows: usize) -> Result<Self> {
        let config = read_object(directory, TOKENIZER_CONFIG)?;
        let class = class(directory, config.as_ref())?;
        let config_files = ConfigFiles {
            tokenizer_config: config,
            special_tokens_map: read_object(directory, "special_tokens_map.json")?,
            added_tokens: read_object(directory, "added_tokens.json")?,
        };
        let (file, source) = VocabularyFile::read(directory, class)?;
        guarded(|| source.build(config_files, class, rows))
            .with_context(|| could_not_use(&directory.join(file)))
            .kind(Kind::Model)
    }
}

/// The number of tokens to which the tokenizer in `directory` truncates a text by default; `None`
/// if it sets no limit.
///
/// # Errors
/// [`Kind::Model`]: its configuration cannot be read, or the limit leaves no room for a text.
pub fn model_max_length(directory: &Path) -> Result<Option<usize>> {
    let config = read_object(directory, TOKENIZER_CONFIG)?.unwrap_or_default();
    let keys = ["model_max_length", "max_len"];
    let Some(key) = keys.into_iter().find(|key| config.contains_key(*key)) else {
        return Ok(None);
    };
    match config[key] {
        Json::Null => Ok(None),
        // Transformers writes 10³⁰ if there is no limit.
        Json::Number(tokens) if tokens > 1e9 => Ok(None),
        Json::Number(tokens) if tokens >= 3.0 => Ok(usize::try_from(tokens as i64).ok()),
        _ => Err(anyhow::anyhow!("`{key}` must be at least 3"))
            .with_context(|| could_not_use(&directory.join(TOKENIZER_CONFIG)))
            .kind(Kind::Model),
    }
}

fn read_object(directory: &Path, file: &str) -> Result<Option<Entries>> {
    let Some(content) = read_optional(directory, file, MAX_CONFIG_BYTES)? else {
        return Ok(None);
    };
    parse_object(&content)
        .map(Some)
        .with_context(|| could_not_use(&directory.join(file)))
        .kind(Kind::Model)
}

fn class(directory: &Path, config: Option<&Entries>) -> Result<Class> {
    let nothing = Entries::default();
    let model_config = read_object(directory, files::CONFIG)?;
    let model_config = model_config.as_ref().unwrap_or(&nothing);
    Class::find(config.unwrap_or(&nothing), model_config)
        .with_context(|| format!("could not use the tokenizer of `{}`", directory.display()))
        .kind(Kind::Model)
}

/// The file that holds the vocabulary.
enum VocabularyFile {
    Json(Vec<u8>),
    VocabTxt(Vec<u8>),
}

impl VocabularyFile {
    fn read(directory: &Path, class: Class) -> Result<(&'static str, Self)> {
        let read = |file| read_optional(directory, file, MAX_TOKENIZER_BYTES);
        if let Some(content) = read(files::TOKENIZER)? {
            return Ok((files::TOKENIZER, Self::Json(content)));
        }
        let vocabulary = read(files::VOCABULARY)?;
        let cause = match vocabulary {
            Some(content) if class.is_bert() => {
                return Ok((files::VOCABULARY, Self::VocabTxt(content)));
            }
            Some(_) => "there is no tokenizer.json, which its tokenizer_class needs",
            None => "it has neither tokenizer.json nor vocab.txt",
        };
        let what = format!("could not read the tokenizer of `{}`", directory.display());
        Err(Error::message(Kind::Model, cause).context(what))
    }

    fn build(
        self,
        config_files: ConfigFiles,
        class: Class,
        rows: usize,
    ) -> anyhow::Result<Tokenizer> {
        match self {
            Self::VocabTxt(content) => {
                let settings = TokenizerSettings::merge(config_files, class, None)?;
                let model = vocab_txt(&content, unknown(&settings)?, rows)?;
                bert(model, &settings, rows)
            }
            Self::Json(content) => {
                let json = TokenizerJson::parse(&content)?;
                let settings = TokenizerSettings::merge(config_files, class, Some(&json))?;
                if class.is_bert() {
                    let unknown = unknown(&settings)?;
                    let model = word_piece(json.model.vocab, rows)?;
                    let model = model.unk_token(unknown).build().map_err(message)?;
                    bert(model, &settings, rows)
                } else {
                    generic(json, &settings, rows)
                }
            }
        }
    }
}

/// The model of a `vocab.txt`: each line, without trailing white space, is a token, and of two
/// equal lines the last one counts.
fn vocab_txt(content: &[u8], unknown: String, rows: usize) -> anyhow::Result<WordPiece> {
    std::str::from_utf8(content).context("it is not UTF-8")?;
    let vocabulary = WordPiece::read_bytes(content).map_err(message)?;
    // A blank line has an id, but no word becomes an empty token.
    let tokens = vocabulary.iter().filter(|(token, _)| !token.is_empty());
    check_rows(tokens.map(|(_, &id)| id), rows)?;
    let model = WordPiece::builder().vocab(vocabulary).unk_token(unknown);
    model.build().map_err(message)
}

fn unknown(settings: &TokenizerSettings) -> anyhow::Result<String> {
    let unknown = settings
        .token("unk_token")
        .context("its unk_token is null")?;
    Ok(unknown.to_owned())
}

/// The tokenizer that `BertTokenizer` builds from a vocabulary.
fn bert(model: WordPiece, settings: &TokenizerSettings, rows: usize) -> anyhow::Result<Tokenizer> {
    check_unknown(&model)?;
    let mut inner = tokenizers::Tokenizer::new(model);
    let normalizer = settings.normalizer;
    inner.with_normalizer(Some(normalizer)).map_err(message)?;
    inner.with_pre_tokenizer(Some(BertPreTokenizer));
    add(&mut inner, settings.added.clone())?;
    let id = |key: &str| {
        let token = settings
            .token(key)
            .with_context(|| format!("its {key} is null"))?;
        // In the template that transformers writes, such a token would have another meaning.
        let is_plain = !token.is_empty()
            && !token.starts_with('$')
            && !token.contains(|character: char| character == ':' || character.is_whitespace());
        ensure!(
            is_plain,
            "its {key} is `{token}`, which a template does not take"
        );
        let id = inner.token_to_id(token);
        id.filter(|&id| (id as usize) < rows)
            .with_context(|| format!("`{token}`, its {key}, has no row of the word embeddings"))
    };
    let special = [id("cls_token")?, id("sep_token")?];
    finish(inner, special, settings, rows)
}

/// The tokenizer that a `tokenizer.json` describes.
fn generic(
    json: TokenizerJson,
    settings: &TokenizerSettings,
    rows: usize,
) -> anyhow::Result<Tokenizer> {
    let Model {
        vocab,
        unk_token: Some(unknown),
        continuing_subword_prefix: Some(prefix),
        max_input_chars_per_word: Some(max_chars),
        ..
    } = json.model
    else {
        bail!(
            "its model lacks `unk_token`, `continuing_subword_prefix` or `max_input_chars_per_word`"
        );
    };
    ensure!(
        max_chars <= MAX_CHARS_PER_WORD,
        "its max_input_chars_per_word is {max_chars}, allowed are at most {MAX_CHARS_PER_WORD}"
    );
    ensure!(
        prefix.len() <= MAX_PREFIX_BYTES,
        "its continuing_subword_prefix has {} bytes, allowed are at most {MAX_PREFIX_BYTES}",
        prefix.len()
    );
    let model = word_piece(vocab, rows)?
        .unk_token(unknown)
        .continuing_subword_prefix(prefix)
        .max_input_chars_per_word(max_chars as usize)
        .build()
        .map_err(message)?;
    check_unknown(&model)?;
    let mut inner = tokenizers::Tokenizer::new(model);
    if let Some(normalizer) = parts::normalizer(&json.normalizer)? {
        inner.with_normalizer(Some(normalizer)).map_err(message)?;
    }
    if let Some(pre_tokenizer) = parts::pre_tokenizer(&json.pre_tokenizer)? {
        inner.with_pre_tokenizer(Some(pre_tokenizer));
    }
    let added = json.added_tokens.iter().map(|(_, token)| token.added());
    add(&mut inner, added.collect())?;
    add(&mut inner, settings.added.clone())?;
    inner.with_post_processor(Some(parts::post_processor(&json.post_processor)?));
    let special = SpecialTokens::of_template(&inner, settings.second_type == 1)?;
    ensure!(
        special.iter().all(|&id| (id as usize) < rows),
        "a special token of its template has no row of the word embeddings"
    );
    finish(inner, special, settings, rows)
}

fn finish(
    mut inner: tokenizers::Tokenizer,
    [cls, sep]: [u32; 2],
    settings: &TokenizerSettings,
    rows: usize,
) -> anyhow::Result<Tokenizer> {
    inner.set_encode_special_tokens(settings.split_special_tokens);
    let pad = settings
        .token("pad_token")
        .and_then(|token| inner.token_to_id(token));
    let tokenizers::ModelWrapper::WordPiece(model) = inner.get_model() else {
        bail!("its model is not WordPiece");
    };
    let unknown = model.token_to_id(&model.unk_token);
    let special = SpecialTokens {
        cls,
        sep,
        pad: pad.filter(|&pad| (pad as usize) < rows),
        unknown: unknown.context("it has no unknown token")?,
        second_type: settings.second_type,
    };
    Ok(Tokenizer {
        splitter: TextSplitter::new(&inner, &added::patterns(&inner)?),
        inner,
        special,
        rows,
        truncates_left: settings.truncates_left,
        pads_left: settings.pads_left,
    })
}

fn add(inner: &mut tokenizers::Tokenizer, tokens: Vec<AddedToken>) -> anyhow::Result<()> {
    added::check_size(&tokens)?;
    inner.add_tokens(tokens).map(drop).map_err(message)
}

fn word_piece(vocabulary: Vocabulary, rows: usize) -> anyhow::Result<WordPieceBuilder> {
    let mut ids = HashSet::with_capacity(vocabulary.0.len());
    for (token, id) in &vocabulary.0 {
        ensure!(
            ids.insert(id),
            "`{token}` has id {id}, which another token has too"
        );
    }
    check_rows(vocabulary.0.iter().map(|&(_, id)| id), rows)?;
    // The crate's type of map has no public name, so this is how to get an empty one.
    let mut map = WordPiece::read_bytes(&[]).map_err(message)?;
    map.extend(vocabulary.0);
    Ok(WordPiece::builder().vocab(map))
}

/// Refuses a vocabulary with more tokens than the word embeddings have rows. Added tokens may lack
/// a row, because a text may never contain them.
fn check_rows(ids: impl Iterator<Item = u32>, rows: usize) -> anyhow::Result<()> {
    let tokens = ids.max().map_or(0, |last| last as usize + 1);
    ensure!(
        tokens <= rows,
        "it has {tokens} tokens, but the word embeddings have {rows} rows"
    );
    Ok(())
}

fn check_unknown(model: &WordPiece) -> anyhow::Result<()> {
    let unknown = &model.unk_token;
    ensure!(
        model.token_to_id(unknown).is_some(),
        "it has no `{unknown}`, the token for unknown words"
    );
    Ok(())
}

fn message(cause: tokenizers::Error) -> anyhow::Error {
    anyhow::Error::from_boxed(cause)
}
