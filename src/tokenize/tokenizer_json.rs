//! `tokenizer.json`, read part by part: each part is checked before the tokenizers crate builds it,
//! because the crate panics on some values and takes unbounded time for others.

use std::fmt;

use anyhow::{Context, bail, ensure};
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use tokenizers::models::bpe::Merges;

use super::json::{Json, TokenEntry, text};
use super::merges::Merge;
use super::model_kind::ModelKind;

/// Tokens and their ids, in the file's order.
#[derive(Debug, Default)]
pub(super) struct Vocabulary(pub(super) Vec<(String, u32)>);

/// The model of a `tokenizer.json`. Its vocabulary, which may have 17 MB, is only parsed when the
/// model is built.
#[derive(Debug, serde::Deserialize)]
pub(super) struct ModelJson<'a> {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(borrow)]
    vocab: Option<&'a RawValue>,
    #[serde(borrow)]
    merges: Option<&'a RawValue>,
    pub(super) unk_token: Option<String>,
    pub(super) unk_id: Option<usize>,
    pub(super) continuing_subword_prefix: Option<String>,
    pub(super) end_of_word_suffix: Option<String>,
    pub(super) max_input_chars_per_word: Option<u64>,
    pub(super) dropout: Option<f32>,
    pub(super) fuse_unk: Option<bool>,
    byte_fallback: Option<bool>,
    pub(super) ignore_merges: Option<bool>,
}

#[derive(Debug)]
pub(super) struct TokenizerJson<'a> {
    pub(super) model: ModelJson<'a>,
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
    model: ModelJson<'a>,
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

impl<'a> TokenizerJson<'a> {
    /// # Errors
    /// `content` is not a `tokenizer.json` of version 1.0.
    pub(super) fn parse(content: &'a [u8]) -> anyhow::Result<Self> {
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
            model: parts.model,
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

impl ModelJson<'_> {
    /// # Errors
    /// It is of a kind that this program does not run.
    pub(super) fn kind(&self) -> anyhow::Result<ModelKind> {
        match &self.kind {
            Some(name) => ModelKind::parse(name),
            // Old files do not name the kind.
            None if self.merges.is_some() => Ok(ModelKind::Bpe),
            None if self.unk_id.is_some() => Ok(ModelKind::Unigram),
            None => Ok(ModelKind::WordPiece),
        }
    }

    /// The tokens of `WordPiece` or BPE.
    pub(super) fn vocabulary(&self) -> anyhow::Result<Vocabulary> {
        list(self.vocab, "vocab")
    }

    /// The tokens of Unigram, each with its score.
    pub(super) fn pieces(&self) -> anyhow::Result<Vec<(String, f64)>> {
        list(self.vocab, "vocab")
    }

    pub(super) fn merges(&self) -> anyhow::Result<Merges> {
        let merges: Vec<Merge> = list(self.merges, "merges")?;
        Ok(merges.into_iter().filter_map(|merge| merge.0).collect())
    }

    pub(super) fn byte_fallback(&self) -> bool {
        self.byte_fallback.unwrap_or(false)
    }
}

fn list<T: DeserializeOwned>(raw: Option<&RawValue>, key: &str) -> anyhow::Result<T> {
    let raw = raw.with_context(|| format!("its model has no `{key}`"))?;
    serde_json::from_str(raw.get())
        .with_context(|| format!("the `{key}` of its model is not valid"))
}

/// The tokens of a `vocab.json`.
pub(super) fn vocab_json(content: &[u8]) -> anyhow::Result<Vocabulary> {
    serde_json::from_slice(content).context("it is not valid")
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
