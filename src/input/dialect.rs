//! How the cells of a csv or tsv table are written; the doc comments are the help.

#![allow(
    clippy::doc_markdown,
    reason = "the doc comments are the help, where backticks show"
)]

use clap::{Args, ValueEnum};
use serde::Serialize;

/// What a quotation mark at the start of a cell means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Quote {
    /// The cell ends at the next `"` and may hold delimiters and line ends; `""` in it is one `"`
    Double,
    /// It is text: a line is a row, as in the files of GLUE
    None,
}

/// How the cells of a table are written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Serialize)]
pub(crate) struct Dialect {
    /// What separates the cells of a csv or tsv table: one ASCII character, or \t [default: a
    /// comma, or a tab]
    #[arg(long, value_name = "C", value_parser = ascii)]
    pub delimiter: Option<char>,

    /// What `"` at the start of a cell means in a csv or tsv table [default: double]
    #[arg(long, value_name = "HOW")]
    pub quote: Option<Quote>,

    /// Character that makes a `"` within quotes, or itself, text: `\` in Spark's files
    #[arg(long, value_name = "C", value_parser = ascii)]
    pub escape: Option<char>,

    /// The first row of a csv or tsv table is a text; columns are named by number, from 1
    #[arg(long)]
    pub no_header: bool,
}

impl Dialect {
    /// The options that were given.
    pub(crate) fn given(&self) -> impl Iterator<Item = &'static str> {
        let options = [
            ("--delimiter", self.delimiter.is_some()),
            ("--quote", self.quote.is_some()),
            ("--escape", self.escape.is_some()),
            ("--no-header", self.no_header),
        ];
        let given = options.into_iter().filter(|(_, is_given)| *is_given);
        given.map(|(option, _)| option)
    }
}

fn ascii(typed: &str) -> Result<char, String> {
    let mut characters = typed.chars();
    match (characters.next(), characters.next()) {
        _ if typed == r"\t" => Ok('\t'),
        (Some(character), None) if character.is_ascii() && !"\"\r\n\0".contains(character) => {
            Ok(character)
        }
        _ => Err(
            "allowed is one ASCII character, or \\t; not a quotation mark or a line end".to_owned(),
        ),
    }
}
