//! What a file of the input holds; the doc comments are the help.

#![allow(
    clippy::doc_markdown,
    reason = "the doc comments are the help, where backticks show"
)]

use std::ffi::OsStr;
use std::path::Path;

use clap::ValueEnum;
use serde::Serialize;

/// What a file of the input holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputFormat {
    /// One text per line
    Lines,
    /// One JSON object per line: text, or words (a list), and optionally id and text_pair
    Jsonl,
    /// A table with a header, cells separated by commas
    Csv,
    /// A table with a header, cells separated by tabs
    Tsv,
    /// A parquet table
    Parquet,
    /// One text, which is the whole file; its id is the path. A directory stands for all files in
    /// it and below it, sorted by path, without those whose name begins with a dot
    Documents,
}

impl InputFormat {
    /// The format that the ending of `path` names; `.gz` and `.zst` behind it are ignored.
    #[must_use]
    pub fn by_ending(path: &Path) -> Option<Self> {
        if is_compressed(path) {
            return Self::by_ending(Path::new(path.file_stem()?));
        }
        match ending(path)?.as_str() {
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "csv" => Some(Self::Csv),
            "tsv" => Some(Self::Tsv),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }

    /// As it is typed.
    #[must_use]
    pub fn name(self) -> String {
        let name = self.to_possible_value();
        name.map_or_else(String::new, |name| name.get_name().to_owned())
    }

    /// Whether its texts come in columns or under keys, which have names.
    #[must_use]
    pub fn has_columns(self) -> bool {
        match self {
            Self::Jsonl | Self::Csv | Self::Tsv | Self::Parquet => true,
            Self::Lines | Self::Documents => false,
        }
    }
}

/// Whether the ending of `path` is one of compressed files.
pub(super) fn is_compressed(path: &Path) -> bool {
    ending(path).is_some_and(|ending| ending == "gz" || ending == "zst")
}

/// The ending in lower case.
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
