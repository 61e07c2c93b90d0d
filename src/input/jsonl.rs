//! JSON lines as texts: `{"text": …}` with `id` and `text_pair`, or `{"words": […]}`.
//!
//! Owns what such a line may hold. Other keys are the user's own and pass unread.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Id, Segment, Text};

/// One line as it is written.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    text: Option<String>,
    text_pair: Option<String>,
    words: Option<Vec<String>>,
}

/// The text of one line, or why it is none.
pub(super) fn parse(line: &str) -> Result<Text, String> {
    // A byte order mark is no JSON, but some editors begin a file with it.
    let line = line.trim_start_matches('\u{feff}');
    // serde takes a list for a struct.
    if !line.trim_start().starts_with('{') {
        return Err("it is not a JSON object".to_owned());
    }
    let Line {
        id,
        text,
        text_pair,
        words,
    } = serde_json::from_str(line).map_err(|error| cause(&error))?;
    let first = match (text, words) {
        (Some(text), None) => Segment::Text(text),
        (None, Some(words)) => Segment::Words(words),
        (None, None) => return Err("it has neither `text` nor `words`".to_owned()),
        (Some(_), Some(_)) => return Err("it has both `text` and `words`".to_owned()),
    };
    Ok(Text {
        id: id.map(|id| Id::parse(id.get())).transpose()?,
        first,
        pair: text_pair,
    })
}

/// serde's words, with the column alone: the line is known and always 1 here.
fn cause(error: &serde_json::Error) -> String {
    format!("{} at byte {}", words(error), error.column())
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
            first: Segment::Text("a".into()),
            pair: Some("b".into()),
        };
        assert_eq!(text, expected);
        let words = parse(r#"{"words":["a","b"],"id":"x"}"#).expect("words");
        assert_eq!(words.first, Segment::Words(vec!["a".into(), "b".into()]));
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
        ];
        for (line, message) in cases {
            assert_eq!(parse(line).expect_err(line), message);
        }
        for line in [
            r#"{"text":1}"#,
            r#"{"text":"a","id":[]}"#,
            "[]",
            "1",
            "null",
        ] {
            assert!(parse(line).is_err(), "{line} was taken");
        }
    }
}
