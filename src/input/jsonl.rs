//! JSON lines as texts: `{"text": …}` with `id` and `text_pair`, or `{"words": […]}`.
//!
//! The user may name other keys, those within other objects with dots; the rest is ignored.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeOwned, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Map;
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
    if !is_object(line) {
        return Err(BadText::because("it is not a JSON object"));
    }
    let parts = [
        columns.id(),
        columns.text(),
        columns.pair(),
        columns.words(),
    ];
    let kept = columns.keep.iter().map(String::as_str);
    let mut values = Values::new(parts.into_iter().chain(kept).collect());
    let read = read(line, &mut values).map_err(|error| syntax_error(line, &error));
    unseen_keys.retain(|key| !values.has(key));
    let [id, text, pair, words] = [0, 1, 2, 3].map(|place| values.not_null(place));
    let id = columns.asked_id(id.map(|id| Id::parse(columns.id(), id.get())));
    // A line that breaks off may have been read in part.
    let kept = read.and_then(|()| columns.kept(values.kept().map(Ok)));
    let text_is_null = values.has(columns.text()) && text.is_none();
    Text::of_parts(id, kept, || {
        let is_list = |words: &&RawValue| is_list_of_strings(words.get());
        let words = words.filter(|words| columns.takes_words(text.is_some(), is_list(words)));
        let text = text.filter(|_| columns.takes_text(words.is_some()));
        let text = text.map(|text| value(line, columns.text(), text));
        let words = words.map(|words| value(line, columns.words(), words));
        let pair = pair.map(|pair| value(line, columns.pair(), pair));
        let pair = pair.transpose()?;
        let first = columns.first(text.transpose()?, words.transpose()?, text_is_null)?;
        Ok((first, pair))
    })
}

pub(super) fn is_object(line: &str) -> bool {
    line.trim_start().starts_with('{')
}

/// The keys of `line` if it is an object that has neither of the texts' keys.
pub(super) fn keys_without_text(line: &str, columns: &ColumnNames) -> Option<Vec<String>> {
    let mut values = Values::new(vec![columns.text(), columns.words()]);
    let is_read = is_object(line) && read(line, &mut values).is_ok();
    if !is_read || values.values.iter().any(Option::is_some) {
        return None;
    }
    let keys: Map<String, serde_json::Value> = serde_json::from_str(line).ok()?;
    Some(keys.into_iter().map(|(key, _)| key).collect())
}

impl<'a> Values<'a> {
    fn new(names: Vec<&'a str>) -> Self {
        Self {
            values: vec![None; names.len()],
            names,
        }
    }

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

    /// Sets the value at `place`, which a line has only once.
    fn set(&mut self, place: usize, value: &'a RawValue) -> Result<(), String> {
        match self.values[place].replace(value) {
            Some(_) => Err(duplicate(self.names[place])),
            None => Ok(()),
        }
    }

    /// The names that begin with `key`: their place and what follows the dot, if anything does.
    fn below(&self, key: &str) -> Vec<(usize, Option<&'a str>)> {
        let names = self.names.iter().enumerate();
        let rest = |name: &'a str| match name.strip_prefix(key)? {
            "" => Some(None),
            rest => rest.strip_prefix('.').map(Some),
        };
        names
            .filter_map(|(place, name)| Some((place, rest(name)?)))
            .collect()
    }
}

fn duplicate(key: &str) -> String {
    format!("duplicate field `{key}`")
}

fn is_list_of_strings(json: &str) -> bool {
    let is_string = |value: &&RawValue| value.get().starts_with('"');
    let values = serde_json::from_str::<Vec<&RawValue>>(json);
    values.is_ok_and(|values| values.iter().all(is_string))
}

/// Fills `values` from `line`, up to an error.
fn read<'a>(line: &'a str, values: &mut Values<'a>) -> serde_json::Result<()> {
    let mut json = serde_json::Deserializer::from_str(line);
    json.deserialize_map(ValuesVisitor(values))?;
    json.end()
}

struct ValuesVisitor<'r, 'a>(&'r mut Values<'a>);

impl<'a> Visitor<'a> for ValuesVisitor<'_, 'a> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        let values = self.0;
        while let Some(key) = map.next_key::<Cow<str>>()? {
            let names = values.below(&key);
            if names.is_empty() {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            // A key may have two uses, but a line has it only once.
            let is_set = |(place, rest): &(usize, Option<_>)| {
                rest.is_none() && values.values[*place].is_some()
            };
            if names.iter().any(is_set) {
                return Err(M::Error::custom(duplicate(&key)));
            }
            let written = map.next_value::<&RawValue>()?;
            for (place, rest) in names {
                let found = match rest {
                    None => Some(written),
                    Some(rest) => within(written.get(), rest).map_err(M::Error::custom)?,
                };
                if let Some(found) = found {
                    values.set(place, found).map_err(M::Error::custom)?;
                }
            }
        }
        Ok(())
    }
}

/// The value of the key `name` in an object, or below it.
fn within<'a>(object: &'a str, name: &'a str) -> serde_json::Result<Option<&'a RawValue>> {
    if !is_object(object) {
        return Ok(None);
    }
    let mut values = Values::new(vec![name]);
    read(object, &mut values)?;
    Ok(values.values[0])
}

/// Parses `written`, the value of `key` in `line`.
fn value<T: DeserializeOwned>(line: &str, key: &str, written: &RawValue) -> Result<T, String> {
    let written = written.get();
    let offset = written.as_ptr() as usize - line.as_ptr() as usize;
    serde_json::from_str(written).map_err(|error| in_column(key, &at_byte(&error, offset)))
}

/// What is wrong with `line`. Python's json writes NaN and Infinity, which are not JSON.
fn syntax_error(line: &str, error: &serde_json::Error) -> String {
    let near = error.column().saturating_sub(2)..=error.column();
    let words = near.filter_map(|byte| line.get(byte..));
    let mut named = words.filter_map(|rest| {
        let mut names = ["NaN", "Infinity"].into_iter();
        names.find(|name| rest.starts_with(name))
    });
    match named.next() {
        Some(name) if error.is_syntax() => {
            format!("`{name}` is not JSON at byte {}", error.column())
        }
        _ => at_byte(error, 0),
    }
}

/// serde's message with the byte of the line, of which the JSON begins after `offset` bytes.
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
    fn an_id_that_is_none_costs_the_text_only_if_it_is_asked_for() {
        let named = ColumnNames {
            id: Some("id".into()),
            ..ColumnNames::default()
        };
        for id in ["[]", "true", r#"{"a":1}"#] {
            let line = format!(r#"{{"id":{id},"text":"a"}}"#);
            assert_eq!(plain(&line), Ok(Text::new("a".into())), "{line}");
            let bad = parse(&line, &named, &mut Vec::new()).expect_err("asked for");
            assert_eq!(bad.message, "its `id` is neither a string nor a number");
        }
    }

    #[test]
    fn a_name_with_dots_is_a_key_within_another() {
        let names = ColumnNames {
            text: Some("data.text".into()),
            pair: Some("data.more.pair".into()),
            keep: vec!["data.n".into(), "data".into()],
            ..ColumnNames::default()
        };
        let first = |line| parse(line, &names, &mut Vec::new());
        let text = first(r#"{"data":{"n":1.0,"text":"a","more":{"pair":"b"}}}"#).expect("a text");
        let columns = r#"{"data.n":1.0,"data":{"n":1.0,"text":"a","more":{"pair":"b"}}}"#;
        let expected = Text {
            pair: Some("b".into()),
            columns: Some(columns.into()),
            ..Text::new("a".into())
        };
        assert_eq!(text, expected);
        let whole = first(r#"{"data.text":"a"}"#).map(|text| text.first);
        assert_eq!(whole, Ok(Segment::Text("a".into())));
        let twice = first(r#"{"data.text":"a","data":{"text":"b"}}"#).expect_err("two texts");
        assert!(twice.message.starts_with("duplicate field `data.text`"));
        for line in [r#"{"data":"a"}"#, r#"{"data":{"more":"a"}}"#, "{}"] {
            assert!(first(line).is_err(), "{line}");
        }
    }

    #[test]
    fn each_bad_line_has_its_message() {
        let cases = [
            ("", "it is not a JSON object"),
            (r#"["1","a",null,null]"#, "it is not a JSON object"),
            ("{}", "it has neither `text` nor `words`"),
            (r#"{"text":null}"#, "its `text` is null"),
            (
                r#"{"text":"a","score":NaN}"#,
                "`NaN` is not JSON at byte 21",
            ),
            (
                r#"{"score":-Infinity,"text":"a"}"#,
                "`Infinity` is not JSON at byte 11",
            ),
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
        for line in ["[]", "1", "null"] {
            assert!(plain(line).is_err(), "{line} was taken");
        }
    }
}
