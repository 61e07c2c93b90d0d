//! `tokenizer.json`, read part by part: each part is checked before the tokenizers crate builds it,
//! because the crate panics on some values and takes unbounded time for others.

use std::fmt;

use anyhow::{Context, bail, ensure};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::json::{Json, TokenEntry, text};

/// Tokens and their ids, in the file's order.
#[derive(Debug, Default)]
pub(super) struct Vocabulary(pub(super) Vec<(String, u32)>);

/// The model of a `tokenizer.json`, if it is `WordPiece`.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    pub(super) vocab: Vocabulary,
    pub(super) unk_token: Option<String>,
    pub(super) continuing_subword_prefix: Option<String>,
    pub(super) max_input_chars_per_word: Option<u64>,
}

#[derive(Debug)]
pub(super) struct TokenizerJson {
    pub(super) model: Model,
    /// Each with its id in the file.
    pub(super) added_tokens: Vec<(i64, TokenEntry)>,
    pub(super) normalizer: serde_json::Value,
    pub(super) pre_tokenizer: serde_json::Value,
    pub(super) post_processor: serde_json::Value,
    /// The only part of `truncation` that is used.
    pub(super) truncation_side: Option<String>,
    /// With `pad_token`, the only part of `padding` that is used.
    pub(super) padding_side: Option<String>,
    pub(super) pad_token: Option<String>,
}

#[derive(serde::Deserialize)]
struct Parts<'a> {
    version: Option<String>,
    #[serde(borrow)]
    model: &'a RawValue,
    #[serde(default)]
    added_tokens: Vec<Json>,
    #[serde(default)]
    normalizer: serde_json::Value,
    #[serde(default)]
    pre_tokenizer: serde_json::Value,
    #[serde(default)]
    post_processor: serde_json::Value,
    truncation: Option<Json>,
    padding: Option<Json>,
}

impl TokenizerJson {
    /// # Errors
    /// `content` is not a `tokenizer.json` of version 1.0 with a `WordPiece` model.
    pub(super) fn parse(content: &[u8]) -> anyhow::Result<Self> {
        let parts: Parts = serde_json::from_slice(content).context("it is not valid")?;
        let version = parts.version.as_deref().unwrap_or("1.0");
        ensure!(
            version == "1.0",
            "its version is `{version}`, allowed is `1.0`"
        );
        let added_tokens = parts.added_tokens.iter().map(added_token);
        let added_tokens: anyhow::Result<_> = added_tokens.collect();
        let part = |part: &Option<Json>, key: &str| match part {
            Some(Json::Object(part)) => Ok(text(part, key)?.map(str::to_owned)),
            _ => Ok::<_, anyhow::Error>(None),
        };
        let side = |side: Option<String>| side.map(|side| side.to_lowercase());
        Ok(Self {
            added_tokens: added_tokens.context("`added_tokens`")?,
            model: Model::parse(parts.model)?,
            normalizer: parts.normalizer,
            pre_tokenizer: parts.pre_tokenizer,
            post_processor: parts.post_processor,
            truncation_side: side(part(&parts.truncation, "direction")?),
            padding_side: side(part(&parts.padding, "direction")?),
            pad_token: part(&parts.padding, "pad_token")?,
        })
    }
}

fn added_token(value: &Json) -> anyhow::Result<(i64, TokenEntry)> {
    let Json::Object(entries) = value else {
        bail!("a token is {}, allowed is an object", value.kind());
    };
    match entries.get("id") {
        Some(&Json::Number(id)) if id >= 0.0 && id.fract() == 0.0 => {
            Ok((id as i64, TokenEntry::parse(entries)?))
        }
        _ => bail!("a token has no integer `id`"),
    }
}

impl Model {
    fn parse(raw: &RawValue) -> anyhow::Result<Self> {
        let model = serde_json::from_str::<Self>(raw.get());
        let kind = match &model {
            Ok(model) => model.kind.clone(),
            Err(_) => match serde_json::from_str(raw.get()) {
                Ok(Json::Object(model)) => text(&model, "type")?.map(str::to_owned),
                _ => None,
            },
        };
        let kind = kind.as_deref().unwrap_or("WordPiece");
        ensure!(
            kind == "WordPiece",
            "its model is {kind}, supported is only WordPiece"
        );
        model.context("its model is not valid")
    }
}

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(VocabularyVisitor)
    }
}

struct VocabularyVisitor;

impl<'de> Visitor<'de> for VocabularyVisitor {
    type Value = Vocabulary;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of tokens and their ids")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocabulary, A::Error> {
        let mut tokens = Vec::new();
        while let Some(token) = map.next_entry()? {
            tokens.push(token);
        }
        Ok(Vocabulary(tokens))
    }
}
