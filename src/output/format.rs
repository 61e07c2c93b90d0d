//! The table of the output formats. A new format is a row here, a file for its writer, and a line
//! in [`super::open`] that creates it. The doc comments are the help.

#![allow(
    clippy::doc_markdown,
    reason = "the doc comments are the help, where backticks show"
)]

use std::ffi::OsStr;
use std::path::Path;

use super::size::{self, Measured, Size};
use super::{Compression, Context, npy, safetensors};
use crate::record::Field;
use crate::table::{or_list, table};

/// What a format is called and what it can do.
#[derive(Clone, Copy)]
#[allow(clippy::struct_excessive_bools, reason = "each answers one question")]
pub(crate) struct FormatSpec {
    pub name: &'static str,
    pub is_typed: bool,
    /// The file name endings that select it.
    pub endings: &'static [&'static str],
    /// Whether `--float` chooses the type of its values.
    pub takes_float: bool,
    pub takes_compression: bool,
    pub is_built: bool,
    /// Whether a dry run with it reports in JSON.
    pub is_report: bool,
    pub fields: Fields,
    /// Whether a vector may be null.
    pub takes_nulls: bool,
    /// Whether it can hold an error in place of a text.
    pub takes_errors: bool,
    /// Whether texts may have different numbers of tokens.
    pub takes_ragged: bool,
    /// Whether it needs a file; others can be written to a pipe.
    pub needs_file: bool,
    /// Why an interrupted run cannot be resumed; `None` if it can.
    pub not_resumable: Option<NotResumable>,
    /// How large its file will be.
    pub size: fn(&Context, &Measured) -> Size,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fields {
    Any,
    NumericAndId,
    /// A field with one vector per text.
    OneVector,
}

/// Why an interrupted run cannot be resumed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NotResumable {
    /// The option that selects the format.
    pub option: &'static str,
    pub why: &'static str,
    /// What the user can do.
    pub tip: &'static str,
}

/// The other formats list how they differ from this one.
const JSONL: FormatSpec = FormatSpec {
    name: "jsonl",
    is_typed: true,
    endings: &["jsonl", "ndjson"],
    takes_float: false,
    takes_compression: true,
    is_built: true,
    is_report: false,
    fields: Fields::Any,
    takes_nulls: true,
    takes_errors: true,
    takes_ragged: true,
    needs_file: false,
    not_resumable: None,
    size: size::json_lines,
};

table! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum OutputFormat: FormatSpec {
        /// One JSON object per text, one per line
        Jsonl = JSONL;
        /// One JSON document with the batch tensors of transformers
        Json = FormatSpec {
            name: "json",
            endings: &["json"],
            takes_compression: false,
            is_report: true,
            takes_ragged: false,
            not_resumable: Some(NotResumable {
                option: "--format json",
                why: "the document is written in one piece at the end",
                tip: "use --format jsonl",
            }),
            size: size::document,
            ..JSONL
        };
        /// `[texts, hidden]` float32 for numpy.load: `pooler_output` or `embedding`, no other
        /// field. Needs -o FILE, and briefly up to twice its size on the disk. A text that cannot
        /// be read ends the run (exit 3), because a row cannot hold an error; so does a text with
        /// an id, unless --fields leaves the id out
        Npy = FormatSpec {
            name: "npy",
            endings: &["npy"],
            takes_float: true,
            takes_compression: false,
            fields: Fields::OneVector,
            takes_nulls: false,
            takes_errors: false,
            needs_file: true,
            size: npy::size,
            ..JSONL
        };
        /// The numeric fields as tensors. Fields of tokens are concatenated, text i has the rows
        /// `offsets[i]` to `offsets[i + 1]`; in word_ids -1 means no word. Ids are concatenated
        /// UTF-8, text i has the bytes `id_offsets[i]` to `id_offsets[i + 1]`. Needs -o FILE, and
        /// briefly up to twice its size on the disk. A text that cannot be read ends the run (exit
        /// 3)
        Safetensors = FormatSpec {
            name: "safetensors",
            endings: &["safetensors"],
            takes_float: true,
            takes_compression: false,
            fields: Fields::NumericAndId,
            takes_nulls: false,
            takes_errors: false,
            needs_file: true,
            size: safetensors::size,
            ..JSONL
        };
        /// One row per text with list columns, for DuckDB, Polars, pandas and Spark. id is a
        /// string; error is null if the text is good. Needs -o FILE, and briefly up to twice its
        /// size on the disk
        Parquet = FormatSpec {
            name: "parquet",
            endings: &["parquet"],
            takes_float: true,
            takes_compression: false,
            is_built: cfg!(feature = "parquet"),
            needs_file: true,
            size: size::parquet,
            ..JSONL
        };
        /// For people to read, see --preview
        Preview = FormatSpec {
            name: "preview",
            is_typed: false,
            endings: &[],
            not_resumable: Some(NotResumable {
                option: "--preview",
                why: "a preview is printed, not kept",
                tip: "leave --preview out",
            }),
            ..JSONL
        };
    }
}

impl OutputFormat {
    pub(crate) fn name(self) -> &'static str {
        self.spec().name
    }

    /// Whether a record of this format can have `field`.
    pub(crate) fn holds(self, field: Field) -> bool {
        match self.spec().fields {
            Fields::Any => true,
            Fields::NumericAndId => field.is_numeric() || field == Field::Id,
            Fields::OneVector => field.is_vector(),
        }
    }

    fn by_ending(ending: &OsStr) -> Option<Self> {
        let mut formats = Self::ALL.iter().copied();
        formats.find(|format| format.spec().endings.iter().any(|&known| ending == known))
    }

    /// `a, b or c`: the formats that a user may type and that `filter` takes.
    pub(crate) fn names(filter: impl Fn(&FormatSpec) -> bool) -> String {
        let specs = Self::ALL.iter().map(|format| format.spec());
        let specs = specs.filter(|spec| spec.is_typed && filter(spec));
        or_list(specs.map(|spec| spec.name))
    }

    /// Every ending that selects a format, compressed ones included.
    pub(crate) fn endings() -> Vec<String> {
        let mut endings = Vec::new();
        for spec in Self::ALL.iter().map(|format| format.spec()) {
            for ending in spec.endings {
                endings.push(format!(".{ending}"));
                let compressions = Compression::ALL.iter().filter(|_| spec.takes_compression);
                endings.extend(compressions.map(|how| format!(".{ending}.{}", how.ending())));
            }
        }
        endings
    }
}

/// What the ending of a file's name selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileEnding {
    pub format: Option<OutputFormat>,
    pub compression: Option<Compression>,
    /// Whether there is an ending that selects no format.
    pub is_unknown: bool,
}

impl FileEnding {
    pub(crate) fn of(path: &Path) -> Self {
        let compression = Compression::by_ending(path);
        let named = match compression {
            Some(_) => path.file_stem().unwrap_or_default().as_ref(),
            None => path,
        };
        let format = named.extension().and_then(OutputFormat::by_ending);
        let can_be =
            |format: &OutputFormat| compression.is_none() || format.spec().takes_compression;
        let format = format.filter(can_be);
        Self {
            format,
            compression,
            is_unknown: format.is_none() && path.extension().is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> (Option<OutputFormat>, Option<Compression>, bool) {
        let FileEnding {
            format,
            compression,
            is_unknown,
        } = FileEnding::of(Path::new(path));
        (format, compression, is_unknown)
    }

    #[test]
    fn the_ending_of_a_name_selects_a_format() {
        let jsonl = Some(OutputFormat::Jsonl);
        assert_eq!(of("a.b/c.npy"), (Some(OutputFormat::Npy), None, false));
        assert_eq!(of("x.ndjson"), (jsonl, None, false));
        assert_eq!(of("x.jsonl.gz"), (jsonl, Some(Compression::Gzip), false));
        assert_eq!(of("x.jsonl.zst"), (jsonl, Some(Compression::Zstd), false));
        for none in ["x", "-", "/dev/stdout", ".hidden", "a.b/c"] {
            assert_eq!(of(none), (None, None, false), "{none}");
        }
        for unknown in ["x.csv", "x.preview", "x.JSON", "x."] {
            assert_eq!(of(unknown), (None, None, true), "{unknown}");
        }
        assert_eq!(of("x.npy.gz"), (None, Some(Compression::Gzip), true));
        assert_eq!(of("x.zst"), (None, Some(Compression::Zstd), true));
    }
}
