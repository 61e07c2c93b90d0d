//! JSON lines as texts: `{"text": …}` with `id` and `text_pair`, or `{"words": […]}`.
//!
//! The user may name other keys; the rest is ignored.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeOwned, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::columns::{ColumnNames, in_column};
use super::id::serde_message;
use super::{BadText, Id, Text, TextOrBad};

/// The raw values of the keys in `names`: id, text, pair, words, and the kept columns.
struct Values<'a> {
    names: Vec<&'a str>,
    values: Vec<Option<&'a RawValue>>,
}

/// How many values precede the kept columns.
const PARTS: usize = 4;

/// The text of `line`; removes the keys that it has from `unseen_keys`.
pub(super) fn parse(
    line: &str,
    columns: &ColumnNames,
    unseen_keys: &mut Vec<String>,
) -> TextOrBad<Text> {
    // serde would accept a list as an object.
    if !line.trim_start().starts_with('{') {
        return Err(BadText::because("it is not a JSON object"));
    }
    let parts = [
        columns.id(),
        columns.text(),
        columns.pair(),
        columns.words(),
    ];
    let kept = columns.keep.iter().map(String::as_str);
    let names: Vec<_> = parts.into_iter().chain(kept).collect();
    let mut values = Values {
        values: vec![None; names.len()],
        names,
    };
    let read = read(line, &mut values);
    unseen_keys.retain(|key| !values.has(key));
    let [id, text, pair, words] = [0, 1, 2, 3].map(|place| values.not_null(place));
    let id = id.map(|id| Id::parse(columns.id(), id.get())).transpose();
    // A line that breaks off may have been read in part.
    let kept = read.and_then(|()| columns.kept(values.kept().map(Ok)));
    Text::of_parts(id, kept, || {
        let is_list = |words: &&RawValue| is_list_of_strings(words.get());
        let words = words.filter(|words| columns.takes_words(text.is_some(), is_list(words)));
        let text = text.filter(|_| columns.takes_text(words.is_some()));
        let text = text.map(|text| value(line, columns.text(), text));
        let words = words.map(|words| value(line, columns.words(), words));
        let pair = pair.map(|pair| value(line, columns.pair(), pair));
        let pair = pair.transpose()?;
        let first = columns.first(text.transpose()?, words.transpose()?)?;
        Ok((first, pair))
    })
}

impl<'a> Values<'a> {
    /// The value with the name at `place`. Null counts as absent.
    fn not_null(&self, place: usize) -> Option<&'a RawValue> {
        self.values[place].filter(|value| value.get() != "null")
    }

    fn has(&self, key: &str) -> bool {
        let mut entries = self.names.iter().zip(&self.values);
        entries.any(|(name, value)| *name == key && value.is_some())
    }

    fn kept(&self) -> impl Iterator<Item = &'a str> {
        let kept = self.values[PARTS..].iter();
        kept.map(|value| value.map_or("null", RawValue::get))
    }
}

fn is_list_of_strings(json: &str) -> bool {
    let is_string = |value: &&RawValue| value.get().starts_with('"');
    let values = serde_json::from_str::<Vec<&RawValue>>(json);
    values.is_ok_and(|values| values.iter().all(is_string))
}

/// Fills `values` from `line`, up to an error.
fn read<'a>(line: &'a str, values: &mut Values<'a>) -> Result<(), String> {
    let mut json = serde_json::Deserializer::from_str(line);
    let read = json.deserialize_map(ValuesVisitor(values));
    read.and_then(|()| json.end())
        .map_err(|error| at_byte(&error, 0))
}

struct ValuesVisitor<'r, 'a>(&'r mut Values<'a>);

impl<'a> Visitor<'a> for ValuesVisitor<'_, 'a> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        let Values { names, values } = self.0;
        while let Some(key) = map.next_key::<Cow<str>>()? {
            if !names.contains(&&*key) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let mut places = names
                .iter()
                .zip(&mut *values)
                .filter(|(name, _)| **name == key);
            // A key may have two uses, but a line has it only once.
            if places.any(|(_, value)| value.is_some()) {
                return Err(M::Error::custom(format!("duplicate field `{key}`")));
            }
            let written = map.next_value::<&RawValue>()?;
            let places = names.iter().zip(&mut *values);
            for (_, value) in places.filter(|(name, _)| **name == key) {
                *value = Some(written);
            }
        }
        Ok(())
    }
}

/// Parses `written`, the value of `key` in `line`.
fn value<T: DeserializeOwned>(line: &str, key: &str, written: &RawValue) -> Result<T, String> {
    let written = written.get();
    let offset = written.as_ptr() as usize - line.as_ptr() as usize;
    serde_json::from_str(written).map_err(|error| in_column(key, &at_byte(&error, offset)))
}

/// serde's message with the byte of the line; the JSON starts `offset` bytes into it.
fn at_byte(error: &serde_json::Error, offset: usize) -> String {
    format!(
        "{} at byte {}",
        serde_message(error),
        offset + error.column()
    )
}

#[cfg(test)]
mod tests {
    use super::super::Segment;
    use super::*;

    fn plain(line: &str) -> TextOrBad<Text> {
        parse(line, &ColumnNames::default(), &mut Vec::new())
    }

    #[test]
    fn a_line_is_a_text_with_what_belongs_to_it() {
        let text = plain(r#"{"text":"a","text_pair":"b","id":7,"mine":[1]}"#).expect("a text");
        let expected = Text {
            id: Some(Id::Number("7".to_owned())),
            pair: Some("b".into()),
            ..Text::new("a".into())
        };
        assert_eq!(text, expected);
        let words = plain(r#"{"words":["a","b"],"id":"x"}"#).expect("words");
        assert_eq!(words.first, Segment::Words(vec!["a".into(), "b".into()]));
    }

    #[test]
    fn words_next_to_a_text_are_taken_only_if_they_are_meant() {
        let first =
            |line, names: &ColumnNames| parse(line, names, &mut Vec::new()).map(|text| text.first);
        let default = ColumnNames::default();
        let text = Segment::Text("a b".into());
        let list = Segment::Words(vec!["a".into(), "b".into()]);
        for line in [
            r#"{"text":"a b","words":2}"#,
            r#"{"text":"a b","words":[1]}"#,
        ] {
            assert_eq!(first(line, &default), Ok(text.clone()));
        }
        let both = r#"{"text":"a b","words":["a","b"]}"#;
        assert!(first(both, &default).is_err());
        let named = |text: Option<&str>, words: Option<&str>| ColumnNames {
            text: text.map(str::to_owned),
            words: words.map(str::to_owned),
            ..ColumnNames::default()
        };
        assert_eq!(first(both, &named(Some("text"), None)), Ok(text));
        for line in [both, r#"{"text":5,"words":["a","b"]}"#] {
            assert_eq!(first(line, &named(None, Some("words"))), Ok(list.clone()));
        }
        assert!(first(both, &named(Some("text"), Some("words"))).is_err());
    }

    #[test]
    fn a_bad_line_keeps_its_id() {
        let id = |line| plain(line).expect_err(line).id;
        let seven = Some(Id::Number("7".to_owned()));
        assert_eq!(id(r#"{"id":7,"text":3}"#), seven);
        assert_eq!(id(r#"{"text":3,"id":7}"#), seven);
        assert_eq!(id(r#"{"id":7,"text":"a"#), seven);
        assert_eq!(id(r#"{"id":[],"text":"a"}"#), None);
    }

    #[test]
    fn the_user_can_name_the_keys() {
        let names = ColumnNames {
            text: Some("title".into()),
            id: Some("title".into()),
            keep: vec!["n".into(), "gone".into(), "title".into()],
            ..ColumnNames::default()
        };
        let text = parse(
            r#"{"text":1,"title":"a","n":1.50}"#,
            &names,
            &mut Vec::new(),
        )
        .expect("a text");
        let expected = Text {
            id: Some(Id::String("a".into())),
            columns: Some(r#"{"n":1.50,"gone":null,"title":"a"}"#.into()),
            ..Text::new("a".into())
        };
        assert_eq!(text, expected);
        let bad = parse("{}", &names, &mut Vec::new()).expect_err("no text");
        assert_eq!(bad.message, "it has neither `title` nor `words`");
    }

    #[test]
    fn each_bad_line_has_its_message() {
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
                "it has both `text` and `words`: name one of them, with --text-column text or \
                 --words-column words",
            ),
            (
                r#"{"text":"a","text":"b"}"#,
                "duplicate field `text` at byte 18",
            ),
            (r#"{"text":"a"} x"#, "trailing characters at byte 14"),
            (
                r#"{"text":"\ud800"}"#,
                "`text`: unexpected end of hex escape at byte 16",
            ),
            (
                r#"{"text":1}"#,
                "`text`: invalid type: integer `1`, expected a string at byte 9",
            ),
        ];
        for (line, message) in cases {
            assert_eq!(plain(line).expect_err(line).message, message);
        }
        for line in [r#"{"text":"a","id":[]}"#, "[]", "1", "null"] {
            assert!(plain(line).is_err(), "{line} was taken");
        }
    }
}
