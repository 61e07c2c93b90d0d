//! JSON objects of model files, read as Python reads them: keys keep the file's order, and of two
//! equal keys the last value counts, in the place of the first. If that could hide a mistake, the
//! reader refuses equal keys.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut, RangeInclusive};

use anyhow::{Context, Result, anyhow, bail};
use indexmap::IndexMap;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;

/// A JSON object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct JsonObject<V> {
    entries: IndexMap<String, V>,
    /// The first key that the file has twice.
    repeated: Option<String>,
}

impl<V> JsonObject<V> {
    /// Refuses an object that has a key twice.
    ///
    /// # Errors
    /// Names the key.
    pub(crate) fn unique(self) -> Result<IndexMap<String, V>> {
        match self.repeated {
            Some(key) => bail!("duplicate key `{}`", shortened(&key)),
            None => Ok(self.entries),
        }
    }

    pub(crate) fn into_entries(self) -> IndexMap<String, V> {
        self.entries
    }
}

impl<V> Default for JsonObject<V> {
    fn default() -> Self {
        IndexMap::new().into()
    }
}

impl<V> From<IndexMap<String, V>> for JsonObject<V> {
    fn from(entries: IndexMap<String, V>) -> Self {
        Self {
            entries,
            repeated: None,
        }
    }
}

impl<V> Deref for JsonObject<V> {
    type Target = IndexMap<String, V>;

    fn deref(&self) -> &Self::Target {
        &self.entries
    }
}

impl<V> DerefMut for JsonObject<V> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.entries
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for JsonObject<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for ObjectVisitor<V> {
    type Value = JsonObject<V>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut object = JsonObject::default();
        while let Some(key) = map.next_key::<String>()? {
            let value = map
                .next_value()
                .map_err(|cause| A::Error::custom(format!("`{}`: {cause}", shortened(&key))))?;
            if object.repeated.is_none() && object.contains_key(&key) {
                object.repeated = Some(key.clone());
            }
            object.insert(key, value);
        }
        Ok(object)
    }
}

/// The values by key, each checked.
impl JsonObject<Value> {
    /// # Errors
    /// `content` is not one JSON object, or has a key twice.
    pub(crate) fn parse_unique(content: &[u8]) -> Result<Self> {
        let object = serde_json::from_slice::<Self>(content);
        let entries = object.map_err(anyhow::Error::from).and_then(Self::unique);
        Ok(entries.context("it is not valid JSON")?.into())
    }

    /// The value of `key`; null counts as missing.
    pub(crate) fn value(&self, key: &str) -> Option<&Value> {
        self.get(key).filter(|value| !value.is_null())
    }

    /// The integer at `key`, or `default` if the key is missing.
    ///
    /// # Errors
    /// The value is null, not a whole number, or not in `allowed`.
    pub(crate) fn size(
        &self,
        key: &str,
        default: usize,
        allowed: RangeInclusive<usize>,
    ) -> Result<usize> {
        let Some(value) = self.get(key) else {
            return Ok(default);
        };
        let number = value.as_u64().and_then(|n| usize::try_from(n).ok());
        number.filter(|n| allowed.contains(n)).ok_or_else(|| {
            let (low, high) = (allowed.start(), allowed.end());
            let wanted = format!("a whole number from {low} to {high}");
            unlike(key, value, &wanted)
        })
    }

    /// The number at `key`, above 0 and at most 1, or `default` if the key is missing.
    ///
    /// # Errors
    /// The value is not a number, is out of this range, or is 0 as an f32.
    pub(crate) fn epsilon(&self, key: &str, default: f64) -> Result<f64> {
        let Some(value) = self.get(key) else {
            return Ok(default);
        };
        let number = value.as_f64();
        number
            .filter(|&number| number as f32 > 0.0 && number <= 1.0)
            .ok_or_else(|| unlike(key, value, "a number above 0 and at most 1"))
    }

    /// The string at `key`, or `None` if the key is missing or null.
    ///
    /// # Errors
    /// The value is not a string.
    pub(crate) fn text(&self, key: &str) -> Result<Option<&str>> {
        self.value(key)
            .map(|value| value.as_str().ok_or_else(|| unlike(key, value, "a string")))
            .transpose()
    }

    /// Whether `key` is true; missing and null count as false.
    ///
    /// # Errors
    /// The value is not a boolean.
    pub(crate) fn flag(&self, key: &str) -> Result<bool> {
        self.value(key).map_or(Ok(false), |value| {
            value
                .as_bool()
                .ok_or_else(|| unlike(key, value, "true or false"))
        })
    }
}

fn unlike(key: &str, value: &Value, wanted: &str) -> anyhow::Error {
    let value = shortened(&value.to_string());
    anyhow!("`{key}` is {value}, allowed is {wanted}")
}

/// `text`, cut to fit into a message.
pub(crate) fn shortened(text: &str) -> String {
    const SHOWN_CHARACTERS: usize = 60;
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
