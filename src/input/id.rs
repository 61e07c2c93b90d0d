//! The id of a text in the input, which its record repeats.
//!
//! A number is never parsed, so that none is too large and `1.0` does not become `1`.

use serde::ser::{Error, Serialize, Serializer};
use serde_json::value::RawValue;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Id {
    /// A JSON number as it was written.
    Number(String),
    String(String),
}

impl Id {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Number(text) | Self::String(text) => text,
        }
    }

    pub(super) fn parse(key: &str, json: &str) -> Result<Self, String> {
        match json.as_bytes().first() {
            Some(b'"') => serde_json::from_str(json)
                .map(Self::String)
                .map_err(|error| format!("its `{key}` is not a string: {}", serde_message(&error))),
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

/// serde's message without the line and column.
pub(super) fn serde_message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let message = text.split(" at line ").next();
    message.unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_echoed_as_it_was_written() {
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
