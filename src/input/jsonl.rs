//! JSON lines as texts: `{"text": …}` with `id` and `text_pair`, or `{"words": […]}`.
//!
//! Other keys are the user's own and pass unread.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeOwned, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{BadText, Id, Place, Segment, Text, TextOrBad};

/// The values of a line that are used, as they are written. Null counts as absent.
#[derive(Default)]
struct Values<'a> {
    id: Option<&'a RawValue>,
    text: Option<&'a RawValue>,
    pair: Option<&'a RawValue>,
    words: Option<&'a RawValue>,
}

/// The text of `line`, or why it is none with the id if that could be read.
pub(super) fn parse(line: &str) -> TextOrBad<Text> {
    // serde takes a list for an object.
    if !line.trim_start().starts_with('{') {
        return Err(BadText::because("it is not a JSON object"));
    }
    let mut values = Values::default();
    let read = read(line, &mut values);
    let id = values.id.map(|id| Id::parse(id.get())).transpose();
    let known_id = id.as_ref().ok().cloned().flatten();
    let text = || -> Result<Text, String> {
        read?;
        Ok(Text {
            id: id?,
            first: first(line, &values)?,
            pair: values.pair.map(|pair| value(line, pair)).transpose()?,
            place: Place::default(),
        })
    };
    text().map_err(|message| BadText {
        id: known_id,
        ..BadText::because(message)
    })
}

fn first(line: &str, values: &Values) -> Result<Segment, String> {
    match (values.text, values.words) {
        (Some(text), None) => value(line, text).map(Segment::Text),
        (None, Some(words)) => value(line, words).map(Segment::Words),
        (None, None) => Err("it has neither `text` nor `words`".to_owned()),
        (Some(_), Some(_)) => Err("it has both `text` and `words`".to_owned()),
    }
}

/// Fills `values` from `line`; those before an error stay.
fn read<'a>(line: &'a str, values: &mut Values<'a>) -> Result<(), String> {
    let mut json = serde_json::Deserializer::from_str(line);
    let read = json.deserialize_map(Reader(values));
    read.and_then(|()| json.end())
        .map_err(|error| at_byte(&error, 0))
}

struct Reader<'r, 'a>(&'r mut Values<'a>);

impl<'a> Visitor<'a> for Reader<'_, 'a> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        let mut seen = [false; 4];
        while let Some(key) = map.next_key::<Cow<str>>()? {
            let (place, field, value) = match &*key {
                "id" => (0, "id", &mut self.0.id),
                "text" => (1, "text", &mut self.0.text),
                "text_pair" => (2, "text_pair", &mut self.0.pair),
                "words" => (3, "words", &mut self.0.words),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if std::mem::replace(&mut seen[place], true) {
                return Err(M::Error::duplicate_field(field));
            }
            *value = Some(map.next_value::<&RawValue>()?).filter(|value| value.get() != "null");
        }
        Ok(())
    }
}

/// The value `written` in `line` as a `T`.
fn value<T: DeserializeOwned>(line: &str, written: &RawValue) -> Result<T, String> {
    let written = written.get();
    let offset = written.as_ptr() as usize - line.as_ptr() as usize;
    serde_json::from_str(written).map_err(|error| at_byte(&error, offset))
}

/// serde's words, with the byte of the line. The JSON begins behind `offset` bytes.
fn at_byte(error: &serde_json::Error, offset: usize) -> String {
    format!("{} at byte {}", words(error), offset + error.column())
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
    fn a_line_is_a_text_with_what_belongs_to_it() {
        let text = parse(r#"{"text":"a","text_pair":"b","id":7,"mine":[1]}"#).expect("a text");
        let expected = Text {
            id: Some(Id::Number("7".to_owned())),
            pair: Some("b".into()),
            ..Text::new("a".into())
        };
        assert_eq!(text, expected);
        let words = parse(r#"{"words":["a","b"],"id":"x"}"#).expect("words");
        assert_eq!(words.first, Segment::Words(vec!["a".into(), "b".into()]));
    }

    #[test]
    fn a_bad_line_keeps_its_id() {
        let id = |line| parse(line).expect_err(line).id;
        let seven = Some(Id::Number("7".to_owned()));
        assert_eq!(id(r#"{"id":7,"text":3}"#), seven);
        assert_eq!(id(r#"{"text":3,"id":7}"#), seven);
        assert_eq!(id(r#"{"id":7,"text":"a"#), seven);
        assert_eq!(id(r#"{"id":[],"text":"a"}"#), None);
    }

    #[test]
    fn what_is_no_text_is_told() {
        let cases = [
            ("", "it is not a JSON object"),
            (r#"["1","a",null,null]"#, "it is not a JSON object"),
            (
                r#"{"text":"a","id":true}"#,
                "its `id` is neither a string nor a number",
            ),
            ("{}", "it has neither `text` nor `words`"),
            (
                r#"{"text":"a","words":[]}"#,
                "it has both `text` and `words`",
            ),
            (
                r#"{"text":"a","text":"b"}"#,
                "duplicate field `text` at byte 18",
            ),
            (r#"{"text":"a"} x"#, "trailing characters at byte 14"),
            (
                r#"{"text":"\ud800"}"#,
                "unexpected end of hex escape at byte 16",
            ),
            (
                r#"{"text":1}"#,
                "invalid type: integer `1`, expected a string at byte 9",
            ),
        ];
        for (line, message) in cases {
            assert_eq!(parse(line).expect_err(line).message, message);
        }
        for line in [r#"{"text":"a","id":[]}"#, "[]", "1", "null"] {
            assert!(parse(line).is_err(), "{line} was taken");
        }
    }
}
