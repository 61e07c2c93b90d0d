//! One text of the input, and why one cannot be embedded.

use std::fmt;
use std::sync::Arc;

use super::Id;
use crate::error::one_line;

/// A longer text is probably none; BERT takes at most 512 tokens of it.
pub(super) const MAX_TEXT_BYTES: u64 = 16 << 20;

/// One text of the input: one segment or two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Its name in the input, echoed back.
    pub(crate) id: Option<Id>,
    /// The first segment.
    pub first: Segment,
    /// The second segment, if there is one.
    pub pair: Option<String>,
    /// The columns of `--keep-columns` as one JSON object.
    pub(crate) columns: Option<String>,
    /// Where it was read.
    pub(crate) place: Place,
}

/// The form in which a segment was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Running text.
    Text(String),
    /// Words that are already split.
    Words(Vec<String>),
}

/// Where in the input a text was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Number of the text in the whole input, from 0.
    pub index: u64,
    /// The file as the user named it; `None` if it is the only one.
    pub file: Option<Arc<str>>,
    /// Number of its line, from 1; `None` if the input has no lines.
    pub line: Option<u64>,
}

impl Text {
    /// One segment of running text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self::of(Segment::Text(text))
    }

    /// Two segments: `[CLS] first [SEP] second [SEP]`.
    #[must_use]
    pub fn pair(first: impl Into<String>, second: impl Into<String>) -> Self {
        Self {
            pair: Some(second.into()),
            ..Self::new(first.into())
        }
    }

    /// Words that are already split.
    #[must_use]
    pub fn words<S: Into<String>>(words: impl IntoIterator<Item = S>) -> Self {
        Self::of(Segment::Words(words.into_iter().map(Into::into).collect()))
    }

    /// The same text with an id, which its record repeats.
    #[must_use]
    pub fn with_id(self, id: impl Into<String>) -> Self {
        Self {
            id: Some(Id::String(id.into())),
            ..self
        }
    }

    pub(super) fn of(first: Segment) -> Self {
        Self {
            id: None,
            first,
            pair: None,
            columns: None,
            place: Place::default(),
        }
    }

    /// The text of a row or a line. If a part is bad, the error keeps the id and the columns that
    /// could be read.
    pub(super) fn of_parts(
        id: Result<Option<Id>, String>,
        columns: Result<Option<String>, String>,
        segments: impl FnOnce() -> Result<(Segment, Option<String>), String>,
    ) -> TextOrBad<Self> {
        let known = BadText {
            id: id.as_ref().ok().cloned().flatten(),
            columns: columns.as_ref().ok().cloned().flatten(),
            ..BadText::default()
        };
        let text = || {
            let (columns, id) = (columns?, id?);
            let (first, pair) = segments()?;
            Ok(Self {
                id,
                pair,
                columns,
                ..Self::of(first)
            })
        };
        text().map_err(|message| BadText { message, ..known })
    }

    /// Two segments, split at the first `separator`; one if there is none.
    pub(super) fn split(text: String, separator: Option<&str>) -> Self {
        match separator.and_then(|separator| text.split_once(separator)) {
            Some((first, second)) => Self {
                pair: Some(second.to_owned()),
                ..Self::new(first.to_owned())
            },
            None => Self::new(text),
        }
    }

    /// What the record depends on; not the place, since a text that moved to another line is the
    /// same text.
    pub(crate) fn content(&self) -> impl fmt::Debug {
        let Self {
            id,
            first,
            pair,
            columns,
            place: _,
        } = self;
        (id, first, pair, columns)
    }

    pub(crate) fn size_bytes(&self) -> usize {
        let first = match &self.first {
            Segment::Text(text) => text.len(),
            Segment::Words(words) => words.iter().map(String::len).sum(),
        };
        first + self.pair.as_deref().map_or(0, str::len)
    }

    /// # Errors
    /// It is longer than a text may be.
    pub(crate) fn within_limit(self) -> TextOrBad<Self> {
        if self.size_bytes() as u64 > MAX_TEXT_BYTES {
            return Err(self.refused("it is longer than 16 MiB".to_owned()));
        }
        Ok(self)
    }

    /// # Errors
    /// The text is a list of words.
    pub(crate) fn with_prompt(mut self, prompt: &str) -> TextOrBad<Self> {
        match &mut self.first {
            Segment::Text(text) => text.insert_str(0, prompt),
            Segment::Words(_) => {
                let message = "a prompt needs running text, not a list of words";
                return Err(self.refused(message.to_owned()));
            }
        }
        Ok(self)
    }

    pub(crate) fn refused(self, message: String) -> BadText {
        BadText {
            message,
            id: self.id,
            columns: self.columns,
            place: self.place,
        }
    }
}

/// `&str`, `String`, `&String`, `&&str`, `Cow<str>`, `Arc<str>` and others.
impl<S: AsRef<str>> From<S> for Text {
    fn from(text: S) -> Self {
        Self::new(text.as_ref().to_owned())
    }
}

impl From<&Text> for Text {
    fn from(text: &Text) -> Self {
        text.clone()
    }
}

/// Why one text of the input cannot be embedded; the run continues without it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct BadText {
    /// The cause in the user's words.
    pub message: String,
    /// The text's id, if it could be read.
    pub id: Option<Id>,
    /// The columns of `--keep-columns`, if they could be read.
    pub columns: Option<String>,
    pub place: Place,
}

impl BadText {
    pub(crate) fn because(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::default()
        }
    }
}

/// `text` with its place. Messages call it `name`.
pub(super) fn with_place(
    text: TextOrBad<Text>,
    name: impl fmt::Display,
    file: Option<Arc<str>>,
    line: Option<u64>,
) -> TextOrBad<Text> {
    let index = 0;
    let place = Place { index, file, line };
    match text.and_then(Text::within_limit) {
        Ok(text) => Ok(Text { place, ..text }),
        Err(bad) => Err(BadText {
            message: format!("could not read {name}: {}", bad.message),
            place,
            ..bad
        }),
    }
}

/// `text 3: its message`
impl fmt::Display for BadText {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "text {}", self.place.index)?;
        match &self.id {
            Some(Id::Number(id)) => write!(formatter, ", id {id}")?,
            Some(Id::String(id)) => write!(formatter, ", id `{}`", one_line(id))?,
            None => {}
        }
        write!(formatter, ": {}", self.message)
    }
}

/// A text at some stage of the work, or why it cannot be embedded.
pub(crate) type TextOrBad<T> = std::result::Result<T, BadText>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_splits_at_the_first_separator_only() {
        let text = Text::split("a ||| b ||| c".to_owned(), Some(" ||| "));
        assert_eq!(
            text,
            Text {
                pair: Some("b ||| c".to_owned()),
                ..Text::new("a".to_owned())
            }
        );
        assert_eq!(Text::split("a".to_owned(), Some("|")).pair, None);
    }
}
