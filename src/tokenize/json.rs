//! JSON values as Python's `json` gives them, and the added tokens that some stand for: keys stay
//! in the file's order, and of two equal keys the last value counts.
//!
//! Source: `AddedToken` of the tokenizers package for Python.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use anyhow::Context;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use tokenizers::AddedToken;

/// One JSON value, or the added token that a JSON object stands for.
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

/// The entries of a JSON object, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Entries(Vec<(String, Json)>);

impl Json {
    /// Python's `bool(value)`.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(value) => *value,
            Self::Number(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::Object(entries) => !entries.0.is_empty(),
            Self::Token(_) => true,
        }
    }

    /// The text of a token, which is a string or an added token.
    pub(super) fn token_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Token(token) => Some(&token.content),
            _ => None,
        }
    }

    /// What kind of value it is, for a message.
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

impl Entries {
    /// # Errors
    /// `content` is not one JSON object.
    pub(super) fn parse(content: &[u8]) -> anyhow::Result<Self> {
        match serde_json::from_slice(content).context("it is not valid JSON")? {
            Json::Object(entries) => Ok(entries),
            other => anyhow::bail!("it holds {}, not an object", other.kind()),
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Json> {
        let mut entries = self.0.iter();
        entries.find(|entry| entry.0 == key).map(|entry| &entry.1)
    }

    /// Replaces the value of `key` in its place, or appends it.
    pub(super) fn set(&mut self, key: &str, value: Json) {
        match self.0.iter_mut().find(|entry| entry.0 == key) {
            Some(entry) => entry.1 = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Json> {
        let place = self.0.iter().position(|entry| entry.0 == key)?;
        Some(self.0.remove(place).1)
    }

    /// Removes the value of `key` if it is an object.
    pub(super) fn take_object(&mut self, key: &str) -> Option<Self> {
        self.get(key).filter(|it| matches!(it, Json::Object(_)))?;
        match self.take(key) {
            Some(Json::Object(entries)) => Some(entries),
            _ => None,
        }
    }

    /// Removes the entries that `wanted` accepts and gives them in order.
    pub(super) fn take_all(&mut self, wanted: impl Fn(&str, &Json) -> bool) -> Self {
        let (taken, left) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|(key, value)| wanted(key, value));
        self.0 = left;
        Self(taken)
    }

    pub(super) fn extend(&mut self, other: Self) {
        for (key, value) in other.0 {
            self.set(&key, value);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Applies `change` to every value.
    pub(super) fn try_map(
        self,
        change: impl Fn(Json) -> anyhow::Result<Json>,
    ) -> anyhow::Result<Self> {
        let entries = self.0.into_iter();
        let changed = entries.map(|(key, value)| {
            let value = change(value).with_context(|| format!("`{key}`"))?;
            Ok((key, value))
        });
        changed.collect::<anyhow::Result<_>>().map(Self)
    }

    /// The boolean at `key`, none if the key is missing.
    ///
    /// # Errors
    /// The value is not true or false.
    pub(super) fn flag(&self, key: &str) -> anyhow::Result<Option<bool>> {
        match self.get(key) {
            None => Ok(None),
            Some(Json::Bool(value)) => Ok(Some(*value)),
            Some(other) => anyhow::bail!("`{key}` is {}, allowed is true or false", other.kind()),
        }
    }

    /// The string at `key`, none if the key is missing or null.
    ///
    /// # Errors
    /// The value is not a string.
    pub(super) fn text(&self, key: &str) -> anyhow::Result<Option<&str>> {
        match self.get(key) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(other) => anyhow::bail!("`{key}` is {}, allowed is a string", other.kind()),
        }
    }
}

/// One added token.
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
    /// By default the opposite of `special`; as in Python, this is decided when the token is used.
    normalized: Option<bool>,
    pub(super) special: bool,
}

impl TokenEntry {
    /// A token without flags but `special`.
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
    pub(super) fn parse(entries: &Entries) -> anyhow::Result<Self> {
        let content = entries.text("content")?;
        let content = content.context("a token has no `content`")?;
        let flag = |key| Ok::<_, anyhow::Error>(entries.flag(key)?.unwrap_or(false));
        Ok(Self {
            content: content.to_owned(),
            single_word: flag("single_word")?,
            lstrip: flag("lstrip")?,
            rstrip: flag("rstrip")?,
            normalized: match entries.get("normalized") {
                Some(Json::Null) => None,
                _ => entries.flag("normalized")?,
            },
            special: flag("special")?,
        })
    }

    /// The same token, with `normalized` decided now.
    pub(super) fn normalized(self, normalized: bool) -> Self {
        Self {
            normalized: Some(normalized),
            ..self
        }
    }

    /// The token as the tokenizers crate takes it.
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

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut entries: Vec<(String, Json)> = Vec::new();
        let mut places = HashMap::new();
        while let Some((key, value)) = map.next_entry::<String, Json>()? {
            match places.entry(key.clone()) {
                Entry::Occupied(place) => {
                    let place: usize = *place.get();
                    entries[place].1 = value;
                }
                Entry::Vacant(place) => {
                    place.insert(entries.len());
                    entries.push((key, value));
                }
            }
        }
        Ok(Json::Object(Entries(entries)))
    }
}
