//! Texts from arguments, files and standard input, in order.
//!
//! Owns [`Text`] and the [`Texts`] that yield it; one bad line becomes a [`BadText`] and shifts no
//! other. Leaves tokens to `tokenize.rs`. A line ends at LF only and loses one trailing CR, as
//! `extract_features.py` and every line tool have it; a blank line is a text too.

mod format;
mod id;
mod jsonl;
mod lines;

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;

use crate::error::{Classify, Error, Kind, Result, one_line};
pub use format::InputFormat;
pub use id::Id;
pub use lines::Lines;

/// One text of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The input's own name for it, echoed back.
    pub id: Option<Id>,
    /// The first segment.
    pub first: Segment,
    /// The second segment, if there is one.
    pub pair: Option<String>,
    /// Where it was read.
    pub place: Place,
}

/// Where in the input a text stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The file as the user named it; `None` if the input is one source only.
    pub file: Option<Arc<str>>,
    /// Number of its line, from 1; `None` for an argument.
    pub line: Option<u64>,
}

/// A segment as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Running text.
    Text(String),
    /// Words that somebody has split already.
    Words(Vec<String>),
}

impl Text {
    /// One segment of running text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self {
            id: None,
            first: Segment::Text(text),
            pair: None,
            place: Place::default(),
        }
    }

    /// What the record depends on: a text that was moved to another line stays the same text.
    #[must_use]
    pub fn content(&self) -> impl fmt::Debug {
        let Self {
            id,
            first,
            pair,
            place: _,
        } = self;
        (id, first, pair)
    }

    /// Puts `prompt` before the text.
    ///
    /// # Errors
    /// The text is a list of words, which has no place for it.
    pub fn with_prompt(mut self, prompt: &str) -> TextOrBad<Self> {
        match &mut self.first {
            Segment::Text(text) => text.insert_str(0, prompt),
            Segment::Words(_) => {
                let message = "a prompt cannot be put before a list of words";
                return Err(self.refused(message.to_owned()));
            }
        }
        Ok(self)
    }

    /// The text as one that cannot be embedded, for the reason in `message`.
    #[must_use]
    pub fn refused(self, message: String) -> BadText {
        BadText {
            message,
            id: self.id,
            place: self.place,
        }
    }

    /// Two segments, parted at the first `separator`; one where there is none.
    #[must_use]
    fn split(text: String, separator: Option<&str>) -> Self {
        match separator.and_then(|separator| text.split_once(separator)) {
            Some((first, second)) => Self {
                pair: Some(second.to_owned()),
                ..Self::new(first.to_owned())
            },
            None => Self::new(text),
        }
    }
}

/// How the lines of a file are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineFormat {
    /// A line is a text; at the first separator it parts into two segments.
    Text {
        /// The separator, where one was given.
        pair_separator: Option<String>,
    },
    /// A line is a JSON object.
    Json,
}

impl LineFormat {
    /// The text of `line`, or why it is none with what is known of it.
    fn parse(&self, line: String) -> TextOrBad<Text> {
        match self {
            Self::Text { pair_separator } => Ok(Text::split(line, pair_separator.as_deref())),
            Self::Json => jsonl::parse(&line),
        }
    }
}

/// Why one text of the input cannot be embedded; the run goes on without it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BadText {
    /// The cause as the user reads it.
    pub message: String,
    /// The input's own name for the text, if it could be read.
    pub id: Option<Id>,
    /// Where it was read.
    pub place: Place,
}

impl BadText {
    /// A text of which only `message` is known.
    pub fn because(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::default()
        }
    }
}

/// A good text as far as it has come, or why the text cannot be embedded.
pub type TextOrBad<T> = std::result::Result<T, BadText>;

/// One text as it was read, good or bad by itself.
#[derive(Debug)]
pub struct InputItem {
    /// The text.
    pub text: TextOrBad<Text>,
    /// The bytes that it took of the input.
    pub size_bytes: u64,
}

/// Texts in input order.
pub struct Texts {
    /// An error ends the run: the source itself can no longer be read.
    pub items: Box<dyn Iterator<Item = Result<InputItem>> + Send>,
    /// Sum of all, where it is known before they are read.
    pub size_bytes: Option<u64>,
}

/// Texts from the command line's arguments.
#[must_use]
pub fn from_arguments(
    texts: Vec<String>,
    pair: Option<String>,
    separator: Option<String>,
) -> Texts {
    let text = move |text: String| match &pair {
        Some(pair) => Text {
            pair: Some(pair.clone()),
            ..Text::new(text)
        },
        None => Text::split(text, separator.as_deref()),
    };
    let item = move |argument: String| {
        Ok(InputItem {
            size_bytes: argument.len() as u64,
            text: Ok(text(argument)),
        })
    };
    Texts {
        size_bytes: Some(texts.iter().map(|text| text.len() as u64).sum()),
        items: Box::new(texts.into_iter().map(item)),
    }
}

/// Texts from the lines of `files`, one after the other; `-` is standard input.
///
/// Every file is opened here, so that a missing one is told before the model is loaded.
///
/// # Errors
/// [`Kind::Input`] where a file cannot be opened or is a directory.
pub fn from_files(files: Vec<(PathBuf, LineFormat)>) -> Result<Texts> {
    let is_only = files.len() == 1;
    let open = |(path, format): (PathBuf, LineFormat)| {
        let mut source = open(&path)?;
        source.is_only = is_only;
        Ok(Lines::new(source, format))
    };
    let sources = files.into_iter().map(open).collect::<Result<Vec<_>>>()?;
    Ok(Texts {
        size_bytes: sources.iter().map(Lines::size_bytes).sum(),
        items: Box::new(sources.into_iter().flatten()),
    })
}

/// Whether standard input is a terminal, where waiting for texts would look like hanging.
#[must_use]
pub fn standard_input_is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// A source of lines with the name that messages give it.
pub struct Source {
    name: Arc<str>,
    /// Whether the input has no other, so that a record need not name it.
    is_only: bool,
    /// `None` where only the end will tell.
    size_bytes: Option<u64>,
    reader: Box<dyn BufRead + Send>,
}

impl Source {
    /// The only source of the input, called `name`, that reads from `reader`.
    pub fn new(name: &str, reader: impl BufRead + Send + 'static) -> Self {
        Self {
            name: one_line(name).into(),
            is_only: true,
            size_bytes: None,
            reader: Box::new(reader),
        }
    }
}

fn open(path: &Path) -> Result<Source> {
    const BUFFER_BYTES: usize = 1 << 18;
    if path == Path::new("-") {
        let stdin = BufReader::with_capacity(BUFFER_BYTES, io::stdin());
        return Ok(Source::new("standard input", stdin));
    }
    let what = || format!("could not read `{}`", path.display());
    let file = File::open(path).with_context(what).kind(Kind::Input)?;
    let metadata = file.metadata().with_context(what).kind(Kind::Input)?;
    if metadata.is_dir() {
        return Err(Error::message(Kind::Input, "it is a directory")
            .context(what())
            .with_tip("a file holds one text a line; --model takes a model's directory"));
    }
    let name = path.display().to_string();
    Ok(Source {
        size_bytes: metadata.is_file().then_some(metadata.len()),
        ..Source::new(&name, BufReader::with_capacity(BUFFER_BYTES, file))
    })
}

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
