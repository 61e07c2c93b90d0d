//! JSON objects of model files, read strictly: no key twice. A wrong value is reported with its
//! key, the value and the allowed values.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeInclusive;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;

use super::local_file::model_error;
use crate::error::{Error, Result};

/// A JSON object without duplicate keys; Python would silently take the last one.
pub(crate) struct UniqueKeys<V>(pub(crate) BTreeMap<String, V>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for UniqueKeys<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(UniqueKeysVisitor(PhantomData))
    }
}

struct UniqueKeysVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for UniqueKeysVisitor<V> {
    type Value = UniqueKeys<V>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(
        self,
        mut map: A,
    ) -> std::result::Result<Self::Value, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map
                .next_value()
                .map_err(|cause| A::Error::custom(format!("`{key}`: {cause}")))?;
            if entries.contains_key(&key) {
                return Err(A::Error::custom(format!("`{key}` stands there twice")));
            }
            entries.insert(key, value);
        }
        Ok(UniqueKeys(entries))
    }
}

/// A JSON object whose values are read by key and checked.
pub(crate) struct Object(BTreeMap<String, Value>);

impl Object {
    /// # Errors
    /// `content` is not one JSON object, or holds a key twice.
    pub(crate) fn parse(content: &[u8]) -> Result<Self> {
        serde_json::from_slice::<UniqueKeys<Value>>(content)
            .map(|UniqueKeys(entries)| Self(entries))
            .map_err(|cause| model_error(format!("it is not valid JSON: {cause}")))
    }

    /// The value of `key`; a key that holds null counts as absent.
    pub(crate) fn value(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// The whole number at `key`, `default` if the key is missing.
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

    /// The number at `key`, above 0 and at most 1, `default` if the key is missing.
    ///
    /// # Errors
    /// The value is not a number, or is out of this range, also as an f32.
    pub(crate) fn epsilon(&self, key: &str, default: f64) -> Result<f64> {
        let Some(value) = self.0.get(key) else {
            return Ok(default);
        };
        let number = value.as_f64();
        number
            .filter(|&number| number as f32 > 0.0 && number <= 1.0)
            .ok_or_else(|| unlike(key, value, "a number above 0 and at most 1"))
    }

    /// The string at `key`, none if the key is missing or null.
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

/// The error of a value that is not what its key asks for.
fn unlike(key: &str, value: &Value, wanted: &str) -> Error {
    model_error(format!(
        "`{key}` is {}, allowed is {wanted}",
        shortened(&value.to_string())
    ))
}

/// `text`, cut to fit into a message.
pub(crate) fn shortened(text: &str) -> String {
    const SHOWN_CHARACTERS: usize = 60;
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
