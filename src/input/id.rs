//! A text's own name in the input, echoed back: a string by its value, a number as it is written.
//!
//! The number is never parsed, so none is too large, and `1.0` does not become `1`.

use serde::ser::{Error, Serialize, Serializer};
use serde_json::value::RawValue;

/// A text's name in the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Id {
    /// A JSON number, as it is written.
    Number(String),
    /// The value of a JSON string.
    String(String),
}

impl Id {
    /// The string, or the number as it is written.
    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Number(text) | Self::String(text) => text,
        }
    }

    /// Reads the name from `json`, the value of the key `key`.
    pub(super) fn parse(key: &str, json: &str) -> Result<Self, String> {
        match json.as_bytes().first() {
            Some(b'"') => serde_json::from_str(json)
                .map(Self::String)
                .map_err(|error| format!("its `{key}` is no string: {}", words(&error))),
            Some(b'-' | b'0'..=b'9') => Ok(Self::Number(json.to_owned())),
            _ => Err(format!("its `{key}` is neither a string nor a number")),
        }
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(written) => {
                let raw: &RawValue = serde_json::from_str(written).map_err(S::Error::custom)?;
                raw.serialize(serializer)
            }
            Self::String(text) => serializer.serialize_str(text),
        }
    }
}

/// serde's words without a place.
pub(super) fn words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let words = text.split(" at line ").next();
    words.unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_echoed_as_it_is_written() {
        for written in [
            "7",
            "-0",
            "1.0",
            "1e3",
            "1E+400",
            "123456789012345678901234567890",
        ] {
            let id = Id::parse("id", written).expect(written);
            assert_eq!(serde_json::to_string(&id).expect(written), written);
        }
    }

    #[test]
    fn a_string_keeps_its_value() {
        let id = Id::parse("id", r#""\u00e9\n""#).expect("a string");
        assert_eq!(id, Id::String("é\n".to_owned()));
        assert_eq!(serde_json::to_string(&id).expect("printed"), r#""é\n""#);
        assert!(Id::parse("id", r#""\ud800""#).is_err(), "half a character");
        assert!(Id::parse("id", "[]").is_err() && Id::parse("id", "true").is_err());
    }
}
