//! A model's directory → a [`Tokenizer`]: the one that `AutoTokenizer` of transformers 5.23 builds
//! from the same files, or a refusal.

use std::path::Path;

use anyhow::{Context, ensure};
use tokenizers::{AddedToken, PreTokenizerWrapper};

use super::class::{Class, ClassModel, VocabularyFiles};
use super::json::{Entries, Json, parse_object};
use super::model::BuiltModel;
use super::model_kind::ModelKind;
use super::settings::{ConfigFiles, TokenizerSettings};
use super::text_splitter::TextSplitter;
use super::tokenizer_json::{ModelJson, TokenizerJson, vocab_json};
use super::{Tokenizer, added, guarded, merges, message, steps};
use crate::checkpoint::directory::{could_not_use, read_optional};
use crate::checkpoint::files;
use crate::error::{Classify, Error, Kind, Result};

/// The size limit of a vocabulary file; XLM-RoBERTa's has 17 MB.
const MAX_TOKENIZER_BYTES: u64 = 64 << 20;

/// The size limit of the other files; 50,000 added tokens have 9 MB.
const MAX_CONFIG_BYTES: u64 = 16 << 20;

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
        let (file, source) = VocabularyContent::read(directory, class)?;
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

enum VocabularyContent {
    /// `tokenizer.json`
    Json(Vec<u8>),
    /// `vocab.txt`
    Lines(Vec<u8>),
    /// `vocab.json` and `merges.txt`
    Merges(Vec<u8>, Vec<u8>),
}

impl VocabularyContent {
    /// The files of a tokenizer of `class`, and the name of the one that decides.
    fn read(directory: &Path, class: Class) -> Result<(&'static str, Self)> {
        let read = |file| read_optional(directory, file, MAX_TOKENIZER_BYTES);
        if let Some(content) = read(files::TOKENIZER)? {
            return Ok((files::TOKENIZER, Self::Json(content)));
        }
        let cause = match class.facts().vocabulary {
            VocabularyFiles::Lines => match read(files::VOCABULARY)? {
                Some(content) => return Ok((files::VOCABULARY, Self::Lines(content))),
                None => "it has neither tokenizer.json nor vocab.txt",
            },
            VocabularyFiles::Merges => match (read(files::VOCAB_JSON)?, read(files::MERGES)?) {
                (Some(tokens), Some(merges)) => {
                    return Ok((files::VOCAB_JSON, Self::Merges(tokens, merges)));
                }
                (Some(_), None) => "it has vocab.json, but no merges.txt",
                (None, _) => "it has neither tokenizer.json nor vocab.json with merges.txt",
            },
            VocabularyFiles::SentencePiece(file) => {
                files::refuse_sentencepiece(directory, file)?;
                "it has no tokenizer.json"
            }
            VocabularyFiles::Missing => {
                "there is no tokenizer.json, which its tokenizer_class needs"
            }
        };
        let what = format!("could not read the tokenizer of `{}`", directory.display());
        Err(Error::message(Kind::Model, cause).context(what))
    }

    fn build(
        &self,
        config_files: ConfigFiles,
        class: Class,
        rows: usize,
    ) -> anyhow::Result<Tokenizer> {
        let json = match self {
            Self::Json(content) => Some(TokenizerJson::parse(content)?),
            Self::Lines(_) | Self::Merges(..) => None,
        };
        let settings = TokenizerSettings::merge(config_files, class, json.as_ref())?;
        let model = match (self, &json) {
            (Self::Lines(content), _) => {
                BuiltModel::of_vocab_txt(content, settings.required("unk_token")?, rows)?
            }
            (Self::Merges(tokens, merges), _) => {
                let merges = merges::of_txt(merges).context(files::MERGES)?;
                BuiltModel::bpe(vocab_json(tokens)?, merges, rows)?
            }
            (Self::Json(_), json) => {
                let json = json.as_ref().context("it is empty")?;
                model(&json.model, class, &settings, rows)?
            }
        };
        finish(model, class, &settings, json.as_ref(), rows)
    }
}

/// The model that `class` builds from the one in a `tokenizer.json`.
fn model(
    json: &ModelJson,
    class: Class,
    settings: &TokenizerSettings,
    rows: usize,
) -> anyhow::Result<BuiltModel> {
    let Some(wanted) = class.facts().model else {
        return BuiltModel::of_json(json, rows);
    };
    let found = json.kind()?;
    ensure!(found == wanted.kind(), mismatch(class, wanted, found));
    match wanted {
        ClassModel::WordPiece => {
            let unknown = settings.required("unk_token")?;
            BuiltModel::word_piece(json.vocabulary()?, unknown, rows)
        }
        ClassModel::Bpe => BuiltModel::bpe(json.vocabulary()?, json.merges()?, rows),
        ClassModel::Unigram { unk_id } => {
            let pieces = json.pieces()?;
            let unknown = settings.token("unk_token").unwrap_or_default();
            let place = || pieces.iter().position(|(piece, _)| piece == unknown);
            let unknown = unk_id.or_else(place).unwrap_or(0);
            BuiltModel::unigram(pieces, unknown, false, rows)
        }
    }
}

/// Why a file's model is refused if transformers 5 would read it as another kind, and what helps.
fn mismatch(class: Class, wanted: ClassModel, found: ModelKind) -> String {
    let becomes = match wanted {
        ClassModel::WordPiece => "read it as WordPiece and give `<unk>` for nearly every word",
        ClassModel::Bpe => "read it as BPE without merges and give single letters",
        ClassModel::Unigram { .. } => "not read it as Unigram",
    };
    let helps = match found {
        ModelKind::WordPiece => Class::Bert,
        ModelKind::Bpe => Class::Roberta,
        ModelKind::Unigram => Class::XlmRoberta,
    };
    format!(
        "its model is {}, but its class is {}: transformers 5 would {becomes}; set \
         `tokenizer_class` in {TOKENIZER_CONFIG} to {}",
        found.name(),
        class.name(),
        helps.name()
    )
}

fn finish(
    BuiltModel { model, unknown }: BuiltModel,
    class: Class,
    settings: &TokenizerSettings,
    json: Option<&TokenizerJson>,
    rows: usize,
) -> anyhow::Result<Tokenizer> {
    let mut inner = tokenizers::Tokenizer::new(model);
    if let Some(normalizer) = steps::normalizer(class, settings, json)? {
        inner.with_normalizer(Some(normalizer)).map_err(message)?;
    }
    let pre_tokenizer: Option<PreTokenizerWrapper> = steps::pre_tokenizer(class, settings, json)?;
    inner.with_pre_tokenizer(pre_tokenizer);
    if let Some(json) = json.filter(|_| class == Class::Generic) {
        let added = json.added_tokens.iter().map(|(_, token)| token.added());
        add(&mut inner, added.collect())?;
    }
    add(&mut inner, settings.added.clone())?;
    let (template, trims) = steps::template(class, settings, json, &inner, rows)?;
    inner.set_encode_special_tokens(settings.flag("split_special_tokens", false)?);
    let pad = settings
        .token("pad_token")
        .and_then(|token| inner.token_to_id(token));
    Ok(Tokenizer {
        splitter: TextSplitter::new(&inner, &added::patterns(&inner)?),
        inner,
        template,
        trims,
        unknown,
        pad: pad.filter(|&pad| (pad as usize) < rows),
        rows,
        truncates_left: settings.truncates_left,
        pads_left: settings.pads_left,
    })
}

fn add(inner: &mut tokenizers::Tokenizer, tokens: Vec<AddedToken>) -> anyhow::Result<()> {
    added::check_size(&tokens)?;
    inner.add_tokens(tokens).map(drop).map_err(message)
}
