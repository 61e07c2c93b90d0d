//! The table of the output formats: what each is called and what it can do. A new format is a row
//! here, a file of its own, and the line of [`super::open`] that makes its writer.

#![allow(
    clippy::doc_markdown,
    reason = "the doc comments are the help, where backticks show"
)]

use std::ffi::OsStr;
use std::path::Path;

use super::size::{self, Measured, Size};
use super::{Compression, Context, npy, safetensors};
use crate::record::Field;
use crate::table::table;

/// What a format is called and what it can do.
#[derive(Clone, Copy)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each answers a question of its own"
)]
pub struct FormatSpec {
    /// Its name on the command line.
    pub name: &'static str,
    /// Whether `--format` takes it.
    pub is_typed: bool,
    /// The endings of a file's name that ask for it.
    pub endings: &'static [&'static str],
    /// Whether `--float` says how its numbers are stored.
    pub takes_float: bool,
    /// Whether a file can be compressed.
    pub takes_compression: bool,
    /// Whether this build has it.
    pub is_built: bool,
    /// Whether a dry run with it reports in JSON.
    pub is_report: bool,
    /// Which fields it can hold.
    pub fields: Fields,
    /// Whether a vector may be null.
    pub takes_nulls: bool,
    /// Whether it has a place for a text that is an error.
    pub takes_errors: bool,
    /// Whether texts may have different numbers of tokens.
    pub takes_ragged: bool,
    /// Whether it needs a file; others can be written to a pipe.
    pub needs_file: bool,
    /// Why an interrupted run cannot be resumed, if it cannot.
    pub not_resumable: Option<NotResumable>,
    /// How large its file will be.
    pub size: fn(&Context, &Measured) -> Size,
}

/// Which fields a format can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fields {
    /// All of them.
    Any,
    /// Numbers and the id.
    NumericAndId,
    /// A field with one vector per text.
    OneVector,
}

/// Why an interrupted run cannot be resumed.
#[derive(Debug, Clone, Copy)]
pub struct NotResumable {
    /// The option that asked for the format.
    pub option: &'static str,
    /// The reason.
    pub why: &'static str,
    /// What the user can do.
    pub tip: &'static str,
}

/// JSON Lines; the others say how they differ.
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
    /// The form of the output.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum OutputFormat: FormatSpec {
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
                why: "one document is printed when all texts are there",
                tip: "use --format jsonl",
            }),
            size: size::document,
            ..JSONL
        };
        /// `[texts, hidden]` float32 for numpy.load: `pooler_output` or `embedding`, no other
        /// field. Needs -o FILE, and for a moment up to twice its size on the disk; a text that
        /// cannot be read ends the run (exit 3), because a row cannot be an error, and so does a
        /// text with an id, unless --fields leaves it out
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
        /// The numeric fields as tensors: those of tokens laid end to end, text i from row
        /// `offsets[i]` to `offsets[i + 1]`; in word_ids -1 is no word. Ids are UTF-8 bytes end to
        /// end, that of text i from `id_offsets[i]` to `id_offsets[i + 1]`. Needs -o FILE, and for
        /// a moment up to twice its size on the disk; a text that cannot be read ends the run (exit
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
        /// One row per text with list columns, for DuckDB, Polars, pandas and Spark; id is a
        /// string, and the column error is null if all is well. Needs -o FILE, and for a moment up
        /// to twice its size on the disk
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
    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// Whether it can hold `field`.
    #[must_use]
    pub fn holds(self, field: Field) -> bool {
        match self.spec().fields {
            Fields::Any => true,
            Fields::NumericAndId => field.is_numeric() || field == Field::Id,
            Fields::OneVector => field.is_vector(),
        }
    }

    /// The format of files whose names end in `ending`.
    #[must_use]
    fn by_ending(ending: &OsStr) -> Option<Self> {
        let mut formats = Self::ALL.iter().copied();
        formats.find(|format| format.spec().endings.iter().any(|&known| ending == known))
    }

    /// Every ending that asks for a format, with the compressed ones.
    #[must_use]
    pub fn endings() -> Vec<String> {
        let mut endings = Vec::new();
        for spec in Self::ALL.iter().map(|format| format.spec()) {
            for ending in spec.endings {
                endings.push(format!(".{ending}"));
                let compressions = Compression::ALL.iter().filter(|_| spec.takes_compression);
                endings.extend(compressions.map(|it| format!(".{ending}.{}", it.ending())));
            }
        }
        endings
    }
}

/// What the ending of a file's name asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileEnding {
    /// The format.
    pub format: Option<OutputFormat>,
    /// The compression.
    pub compression: Option<Compression>,
    /// Whether there is an ending that asks for no format.
    pub is_foreign: bool,
}

impl FileEnding {
    /// The ending of `path`.
    #[must_use]
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
            is_foreign: format.is_none() && path.extension().is_some(),
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
            is_foreign,
        } = FileEnding::of(Path::new(path));
        (format, compression, is_foreign)
    }

    #[test]
    fn a_name_asks_for_a_format_by_its_ending() {
        let jsonl = Some(OutputFormat::Jsonl);
        assert_eq!(of("a.b/c.npy"), (Some(OutputFormat::Npy), None, false));
        assert_eq!(of("x.ndjson"), (jsonl, None, false));
        assert_eq!(of("x.jsonl.gz"), (jsonl, Some(Compression::Gzip), false));
        assert_eq!(of("x.jsonl.zst"), (jsonl, Some(Compression::Zstd), false));
        for none in ["x", "-", "/dev/stdout", ".hidden", "a.b/c"] {
            assert_eq!(of(none), (None, None, false), "{none}");
        }
        for foreign in ["x.csv", "x.preview", "x.JSON", "x."] {
            assert_eq!(of(foreign), (None, None, true), "{foreign}");
        }
        assert_eq!(of("x.npy.gz"), (None, Some(Compression::Gzip), true));
        assert_eq!(of("x.zst"), (None, Some(Compression::Zstd), true));
    }
}
