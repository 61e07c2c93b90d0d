//! Texts from arguments, files and standard input, in order.
//!
//! Owns [`Text`] and the [`Texts`] that yield it; one bad line becomes a [`BadText`] and shifts no
//! other. Leaves tokens to `tokenize.rs`. A line ends at LF only and loses one trailing CR, as
//! `extract_features.py` and every line tool have it; a blank line is a text too.

mod lines;

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::error::{Classify, Error, Kind, Result, one_line};
pub use lines::Lines;

/// One text of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The first segment.
    pub text: String,
    /// The second segment, where there is one.
    pub pair: Option<String>,
}

/// Why one text of the input cannot be embedded; the run goes on without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadText {
    /// The cause as the user reads it, with the place.
    pub message: String,
}

/// Texts in input order, each good or bad by itself.
///
/// An outer error ends the run: the source itself can no longer be read.
pub type Texts = Box<dyn Iterator<Item = Result<std::result::Result<Text, BadText>>> + Send>;

/// Texts from the command line's arguments.
#[must_use]
pub fn from_arguments(
    texts: Vec<String>,
    pair: Option<String>,
    separator: Option<String>,
) -> Texts {
    let text = move |text: String| match &pair {
        Some(pair) => Text {
            text,
            pair: Some(pair.clone()),
        },
        None => split_pair(text, separator.as_deref()),
    };
    Box::new(
        texts
            .into_iter()
            .map(move |argument| Ok(Ok(text(argument)))),
    )
}

/// Texts from the lines of `files`, one after the other; `-` is standard input.
///
/// Every file is opened here, so that a missing one is told before the model is loaded.
///
/// # Errors
/// [`Kind::Input`] where a file cannot be opened or is a directory.
pub fn from_files(files: &[PathBuf], separator: Option<&str>) -> Result<Texts> {
    let sources = files
        .iter()
        .map(|path| open(path))
        .collect::<Result<Vec<_>>>()?;
    let separator = separator.map(str::to_owned);
    Ok(Box::new(sources.into_iter().flat_map(Lines::new).map(
        move |line| Ok(line?.map(|text| split_pair(text, separator.as_deref()))),
    )))
}

/// Whether standard input is a terminal, where waiting for texts would look like hanging.
#[must_use]
pub fn standard_input_is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// A source of lines with the name that messages give it.
pub struct Source {
    name: String,
    reader: Box<dyn BufRead + Send>,
}

impl Source {
    /// A source called `name` that reads from `reader`.
    pub fn new(name: &str, reader: impl BufRead + Send + 'static) -> Self {
        Self {
            name: one_line(name),
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
    let is_directory = file.metadata().is_ok_and(|metadata| metadata.is_dir());
    if is_directory {
        return Err(Error::message(Kind::Input, "it is a directory")
            .context(what())
            .with_tip("a file holds one text a line; --model takes a model's directory"));
    }
    Ok(Source::new(
        &path.display().to_string(),
        BufReader::with_capacity(BUFFER_BYTES, file),
    ))
}

fn split_pair(text: String, separator: Option<&str>) -> Text {
    match separator.and_then(|separator| text.split_once(separator)) {
        Some((first, second)) => Text {
            text: first.to_owned(),
            pair: Some(second.to_owned()),
        },
        None => Text { text, pair: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_splits_at_the_first_separator_only() {
        let text = split_pair("a ||| b ||| c".to_owned(), Some(" ||| "));
        assert_eq!(
            text,
            Text {
                text: "a".to_owned(),
                pair: Some("b ||| c".to_owned())
            }
        );
        assert_eq!(split_pair("a".to_owned(), Some("|")).pair, None);
    }
}
