//! The table of the input formats. A new format is a row here, a file of its own, and the line of
//! `open` in `input/mod.rs` that reads it. The doc comments are the help.

#![allow(
    clippy::doc_markdown,
    reason = "the doc comments are the help, where backticks show"
)]

use std::ffi::OsStr;
use std::path::Path;

use crate::table::{or_list, table};

/// What an input format is called and what it can hold.
#[derive(Clone, Copy)]
pub(crate) struct InputFormatSpec {
    pub name: &'static str,
    pub is_typed: bool,
    /// The file name endings that select it.
    pub endings: &'static [&'static str],
    /// Whether the parts of a text have names: columns or keys.
    pub has_columns: bool,
    /// What separates the cells of a row, if the format is text.
    pub delimiter: Option<char>,
    /// Whether a column can hold lists of words.
    pub has_lists: bool,
}

const LINES: InputFormatSpec = InputFormatSpec {
    name: "lines",
    is_typed: true,
    endings: &[],
    has_columns: false,
    delimiter: None,
    has_lists: false,
};

const CSV: InputFormatSpec = InputFormatSpec {
    name: "csv",
    endings: &["csv"],
    has_columns: true,
    delimiter: Some(','),
    ..LINES
};

table! {
    /// What a file of the input holds.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum InputFormat: InputFormatSpec {
        /// One text per line
        Lines = LINES;
        /// One JSON object per line: text, or words (a list), and optionally id and text_pair;
        /// blank lines are skipped
        Jsonl = InputFormatSpec {
            name: "jsonl",
            endings: &["jsonl", "ndjson", "json"],
            delimiter: None,
            has_lists: true,
            ..CSV
        };
        /// A table with a header, cells separated by commas
        Csv = CSV;
        /// A table with a header, cells separated by tabs
        Tsv = InputFormatSpec {
            name: "tsv",
            endings: &["tsv"],
            delimiter: Some('\t'),
            ..CSV
        };
        /// A parquet table
        Parquet = InputFormatSpec {
            name: "parquet",
            endings: &["parquet"],
            delimiter: None,
            has_lists: true,
            ..CSV
        };
        /// Each file is one text, its id the path. A directory means all files in it and below,
        /// sorted by path, without those whose name begins with a dot
        Documents = InputFormatSpec {
            name: "documents",
            ..LINES
        };
    }
}

impl InputFormat {
    /// The format that the ending of `path` selects, before a final `.gz` or `.zst`.
    pub(crate) fn by_ending(path: &Path) -> Option<Self> {
        if is_compressed(path) {
            return Self::by_ending(Path::new(path.file_stem()?));
        }
        let ending = ending(path)?;
        let mut formats = Self::ALL.iter().copied();
        formats.find(|format| format.spec().endings.contains(&&*ending))
    }

    /// Every ending that selects a format, without compression.
    pub(crate) fn endings() -> String {
        let endings = Self::ALL.iter().flat_map(|format| format.spec().endings);
        let endings: Vec<_> = endings.map(|ending| format!(".{ending}")).collect();
        endings.join(", ")
    }

    /// `a, b or c`: the formats that `filter` takes.
    pub(crate) fn names(filter: impl Fn(&InputFormatSpec) -> bool) -> String {
        let specs = Self::ALL.iter().map(|format| format.spec());
        or_list(specs.filter(filter).map(|spec| spec.name))
    }
}

pub(super) fn is_compressed(path: &Path) -> bool {
    ending(path).is_some_and(|ending| ending == "gz" || ending == "zst")
}

fn ending(path: &Path) -> Option<String> {
    let ending = path.extension().and_then(OsStr::to_str);
    ending.map(str::to_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compressed_file_has_the_ending_below() {
        let format = |name| InputFormat::by_ending(Path::new(name));
        assert_eq!(format("a/b.csv.gz"), Some(InputFormat::Csv));
        assert_eq!(format("b.jsonl.zst"), Some(InputFormat::Jsonl));
        assert_eq!(format("b.gz"), None);
        assert_eq!(format("B.CSV.GZ"), Some(InputFormat::Csv));
        assert_eq!(format(".gz"), None);
        assert_eq!(format("csv"), None);
    }
}
