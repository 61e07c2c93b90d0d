//! Texts from arguments, files and standard input, in order.
//!
//! Owns [`Text`] and the [`Texts`] that yield it; one bad line becomes a [`BadText`] and shifts no
//! other. Leaves tokens to `tokenize.rs`. A line ends at LF only and loses one trailing CR, as
//! `extract_features.py` and every line tool have it; a blank line is a text too.

mod format;
mod id;
mod jsonl;
mod lines;

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::path::{Path, PathBuf};

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
    /// The second segment, where there is one.
    pub pair: Option<String>,
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
    fn parse(&self, line: String) -> std::result::Result<Text, String> {
        match self {
            Self::Text { pair_separator } => Ok(Text::split(line, pair_separator.as_deref())),
            Self::Json => jsonl::parse(&line),
        }
    }
}

/// Why one text of the input cannot be embedded; the run goes on without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadText {
    /// The cause as the user reads it, with the place.
    pub message: String,
}

/// One text as it was read, good or bad by itself.
#[derive(Debug)]
pub struct Line {
    /// The text.
    pub text: std::result::Result<Text, BadText>,
    /// What it took of the input.
    pub size_bytes: u64,
}

/// Texts in input order.
pub struct Texts {
    /// An error ends the run: the source itself can no longer be read.
    pub lines: Box<dyn Iterator<Item = Result<Line>> + Send>,
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
    let line = move |argument: String| {
        Ok(Line {
            size_bytes: argument.len() as u64,
            text: Ok(text(argument)),
        })
    };
    Texts {
        size_bytes: Some(texts.iter().map(|text| text.len() as u64).sum()),
        lines: Box::new(texts.into_iter().map(line)),
    }
}

/// Texts from the lines of `files`, one after the other; `-` is standard input.
///
/// Every file is opened here, so that a missing one is told before the model is loaded.
///
/// # Errors
/// [`Kind::Input`] where a file cannot be opened or is a directory.
pub fn from_files(files: Vec<(PathBuf, LineFormat)>) -> Result<Texts> {
    let open = |(path, format): (PathBuf, LineFormat)| Ok(Lines::new(open(&path)?, format));
    let sources = files.into_iter().map(open).collect::<Result<Vec<_>>>()?;
    Ok(Texts {
        size_bytes: sources.iter().map(Lines::size_bytes).sum(),
        lines: Box::new(sources.into_iter().flatten()),
    })
}

/// Whether standard input is a terminal, where waiting for texts would look like hanging.
#[must_use]
pub fn standard_input_is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// A source of lines with the name that messages give it.
pub struct Source {
    name: String,
    /// `None` where only the end will tell.
    size_bytes: Option<u64>,
    reader: Box<dyn BufRead + Send>,
}

impl Source {
    /// A source called `name` that reads from `reader`.
    pub fn new(name: &str, reader: impl BufRead + Send + 'static) -> Self {
        Self {
            name: one_line(name),
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
