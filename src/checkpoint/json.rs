//! JSON objects of model files, read as Python reads them: keys keep the file's order, and of two
//! equal keys the last value counts, in the place of the first. If that could hide a mistake, equal
//! keys are refused instead.

use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeInclusive;

use anyhow::{Context, Result, anyhow};
use indexmap::IndexMap;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;

/// The entries of a JSON object, in order.
pub(crate) type JsonObject<V> = IndexMap<String, V>;

/// Reads the entries of `map`; if `unique` is true, refuses equal keys.
pub(crate) fn entries<'de, V: Deserialize<'de>, A: MapAccess<'de>>(
    mut map: A,
    unique: bool,
) -> Result<JsonObject<V>, A::Error> {
    let mut entries = JsonObject::new();
    while let Some(key) = map.next_key::<String>()? {
        let value = map
            .next_value()
            .map_err(|cause| A::Error::custom(format!("`{}`: {cause}", shortened(&key))))?;
        if unique && entries.contains_key(&key) {
            let key = shortened(&key);
            return Err(A::Error::custom(format!("duplicate key `{key}`")));
        }
        entries.insert(key, value);
    }
    Ok(entries)
}

/// Reads an object that must not have equal keys, for `deserialize_with`.
pub(crate) fn unique_keys<'de, V: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<JsonObject<V>, D::Error> {
    deserializer.deserialize_map(UniqueKeysVisitor(PhantomData))
}

struct UniqueKeysVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for UniqueKeysVisitor<V> {
    type Value = JsonObject<V>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        entries(map, true)
    }
}

/// An object whose values are checked when they are read by key.
#[derive(serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct CheckedObject(#[serde(deserialize_with = "unique_keys")] JsonObject<Value>);

impl CheckedObject {
    /// # Errors
    /// `content` is not one JSON object, or has equal keys.
    pub(crate) fn parse(content: &[u8]) -> Result<Self> {
        serde_json::from_slice(content).context("it is not valid JSON")
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// The value of `key`; null counts as missing.
    pub(crate) fn value(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
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
        let Some(value) = self.0.get(key) else {
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
        let Some(value) = self.0.get(key) else {
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
