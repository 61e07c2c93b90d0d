//! The values of a tokenizer's JSON files. An object can become an added token, as transformers
//! turns objects marked as such into its `AddedToken`.

use std::fmt;

use anyhow::{Context, Result, bail};
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use tokenizers::AddedToken;

use crate::checkpoint::json::{JsonObject, entries};

/// One JSON value, or the added token that an object describes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Object(Entries),
    Token(TokenEntry),
}

pub(super) type Entries = JsonObject<Json>;

impl Json {
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(value) => *value,
            Self::Number(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::Object(entries) => !entries.is_empty(),
            Self::Token(_) => true,
        }
    }

    /// The content of a token, which is a string or an added token.
    pub(super) fn token_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Token(token) => Some(&token.content),
            _ => None,
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
            Self::Token(_) => "a token",
        }
    }
}

/// # Errors
/// `content` is not one JSON object.
pub(super) fn parse_object(content: &[u8]) -> Result<Entries> {
    match serde_json::from_slice(content).context("it is not valid JSON")? {
        Json::Object(entries) => Ok(entries),
        other => bail!("it holds {}, not an object", other.kind()),
    }
}

/// Removes the value of `key` if it is an object.
pub(super) fn take_object(entries: &mut Entries, key: &str) -> Option<Entries> {
    let Json::Object(object) = entries.get_mut(key)? else {
        return None;
    };
    let object = std::mem::take(object);
    entries.shift_remove(key);
    Some(object)
}

/// The boolean at `key`, or `None` if the key is missing.
///
/// # Errors
/// The value is not true or false.
pub(super) fn flag(entries: &Entries, key: &str) -> Result<Option<bool>> {
    match entries.get(key) {
        None => Ok(None),
        Some(Json::Bool(value)) => Ok(Some(*value)),
        Some(other) => anyhow::bail!("`{key}` is {}, allowed is true or false", other.kind()),
    }
}

/// The string at `key`, or `None` if the key is missing or null.
///
/// # Errors
/// The value is not a string.
pub(super) fn text<'a>(entries: &'a Entries, key: &str) -> Result<Option<&'a str>> {
    match entries.get(key) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Text(text)) => Ok(Some(text)),
        Some(other) => anyhow::bail!("`{key}` is {}, allowed is a string", other.kind()),
    }
}

/// Source: `AddedToken` of the tokenizers package for Python.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the flags of the file format"
)]
pub(super) struct TokenEntry {
    pub(super) content: String,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
    /// If `None`, the opposite of `special`; as in Python, this is decided when the token is used.
    normalized: Option<bool>,
    pub(super) special: bool,
}

impl TokenEntry {
    pub(super) fn new(content: &str, special: bool) -> Self {
        Self {
            content: content.to_owned(),
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: None,
            special,
        }
    }

    /// A token from the entries of a JSON object; unknown keys are ignored, as in Python.
    ///
    /// # Errors
    /// The content is not a string, or a flag is not true or false.
    pub(super) fn parse(entries: &Entries) -> Result<Self> {
        let content = text(entries, "content")?;
        let content = content.context("a token has no `content`")?;
        let flag = |key| Ok::<_, anyhow::Error>(self::flag(entries, key)?.unwrap_or(false));
        Ok(Self {
            content: content.to_owned(),
            single_word: flag("single_word")?,
            lstrip: flag("lstrip")?,
            rstrip: flag("rstrip")?,
            normalized: match entries.get("normalized") {
                Some(Json::Null) => None,
                _ => self::flag(entries, "normalized")?,
            },
            special: flag("special")?,
        })
    }

    /// The same token, including the white space before it.
    pub(super) fn lstrip(self) -> Self {
        Self {
            lstrip: true,
            ..self
        }
    }

    pub(super) fn normalized(self, normalized: bool) -> Self {
        Self {
            normalized: Some(normalized),
            ..self
        }
    }

    /// The token as the tokenizers crate takes it. `normalized` is decided here.
    pub(super) fn added(&self) -> AddedToken {
        AddedToken::from(self.content.clone(), self.special)
            .single_word(self.single_word)
            .lstrip(self.lstrip)
            .rstrip(self.rstrip)
            .normalized(self.normalized.unwrap_or(!self.special))
    }
}

impl PartialEq for TokenEntry {
    fn eq(&self, other: &Self) -> bool {
        self.content == other.content && self.added() == other.added()
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Json, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(Json::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Json, A::Error> {
        entries(map, false).map(Json::Object)
    }
}
