//! The arguments that name the texts, and the checks between them.

#![allow(
    clippy::doc_markdown,
    reason = "the doc comments are the help, where backticks show"
)]

use std::path::{Path, PathBuf};

use clap::Args;

use super::check::usage;
use crate::error::Result;
use crate::input::{ColumnNames, InputFormat, InputOptions, Shard, TextSelection};

/// Which texts are embedded, and how they are read.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Input")]
pub struct InputArguments {
    /// Texts to embed, one record each
    #[arg(value_name = "TEXT")]
    pub texts: Vec<String>,

    /// Read the texts in PATH (repeatable, and several at once; `-` is standard input): one a line,
    /// or what --input-format says. gzip and zstd are decompressed
    #[arg(short, long = "file", value_name = "PATH", num_args = 1..)]
    pub files: Vec<PathBuf>,

    /// What a file holds [default: by the ending of PATH (.jsonl, .ndjson, .csv, .tsv, .parquet,
    /// the same with .gz or .zst), else lines]
    #[arg(long, value_name = "FORMAT")]
    pub input_format: Option<InputFormat>,

    /// Texts end with NUL instead of a line end
    #[arg(short = '0', long)]
    pub null: bool,

    /// Column of the texts in a table, or their key in JSON lines [default: text]
    #[arg(long, value_name = "NAME")]
    pub text_column: Option<String>,

    /// Column of the second segments, of which an empty cell is none [default: text_pair]
    #[arg(long, value_name = "NAME")]
    pub pair_column: Option<String>,

    /// Column of the ids, strings or numbers, of which an empty cell is none [default: id]
    #[arg(long, value_name = "NAME")]
    pub id_column: Option<String>,

    /// Column of lists of words, instead of texts; jsonl and parquet only [default: words]
    #[arg(long, value_name = "NAME")]
    pub words_column: Option<String>,

    /// Columns to carry into the records, comma-separated, as the object `columns`. Times are in
    /// UTC; a number that is not finite is null
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub keep_columns: Vec<String>,

    /// Skip the first K texts
    #[arg(long, value_name = "K", default_value_t, allow_negative_numbers = true)]
    pub skip: u64,

    /// Read at most K texts, after those that --skip leaves out
    #[arg(long, value_name = "K", allow_negative_numbers = true)]
    pub limit: Option<u64>,

    /// Embed only every Nth text, from text I on, counted from 0; `index` stays the place in the
    /// whole input
    #[arg(long, value_name = "I/N", allow_hyphen_values = true)]
    pub shard: Option<Shard>,

    /// Second segment for the one TEXT given: `[CLS] text [SEP] pair [SEP]`
    #[arg(long, value_name = "TEXT")]
    pub pair: Option<String>,

    /// Split each text at the first STR into two segments
    #[arg(long, value_name = "STR", conflicts_with = "pair")]
    pub pair_separator: Option<String>,
}

impl InputArguments {
    /// How the input is read.
    #[must_use]
    pub fn options(&self) -> InputOptions {
        InputOptions {
            format: self.input_format,
            pair_separator: self.pair_separator.clone(),
            is_nul_separated: self.null,
            columns: ColumnNames {
                text: self.text_column.clone(),
                pair: self.pair_column.clone(),
                id: self.id_column.clone(),
                words: self.words_column.clone(),
                keep: self.keep_columns.clone(),
            },
            selection: TextSelection {
                skip: self.skip,
                limit: self.limit,
                shard: self.shard,
            },
        }
    }

    /// # Errors
    /// Usage, if options contradict each other or one would have no effect.
    pub(super) fn check(&self) -> Result<()> {
        self.check_source()?;
        self.check_pairs()?;
        self.check_formats()
    }

    fn check_source(&self) -> Result<()> {
        if self.texts.is_empty() {
            return Ok(());
        }
        if !self.files.is_empty() {
            return usage(
                "TEXT arguments and --file were both given: texts come from one source",
                "put the arguments into the file, or run twice",
            );
        }
        if self.input_format.is_some() {
            return usage(
                "--input-format says what a line is: a TEXT argument is a text as it stands",
                "leave --input-format out, or give lines with --file or on standard input",
            );
        }
        let named = self.column_options().next();
        match named.or(self.null.then_some("--null")) {
            None => Ok(()),
            Some(option) => usage(
                &format!(
                    "{option} is for files and standard input: \
                     a TEXT argument is a text as it stands"
                ),
                &format!("leave {option} out, or give the texts with --file or on standard input"),
            ),
        }
    }

    fn check_pairs(&self) -> Result<()> {
        if self.pair.is_some() && self.texts.len() != 1 {
            let texts = self.texts.len();
            return usage(
                &format!("--pair needs exactly one TEXT argument: got {texts}"),
                "for many pairs use --file with --pair-separator",
            );
        }
        match self.pair_separator.as_deref() {
            Some("") => usage(
                "--pair-separator is empty",
                "for example --pair-separator ' ||| '",
            ),
            _ => Ok(()),
        }
    }

    /// The column options that were given.
    fn column_options(&self) -> impl Iterator<Item = &'static str> {
        let given = [
            ("--text-column", self.text_column.is_some()),
            ("--pair-column", self.pair_column.is_some()),
            ("--id-column", self.id_column.is_some()),
            ("--words-column", self.words_column.is_some()),
            ("--keep-columns", !self.keep_columns.is_empty()),
        ];
        given
            .into_iter()
            .filter(|given| given.1)
            .map(|given| given.0)
    }

    /// The files, or standard input if there is neither a file nor a TEXT.
    fn sources(&self) -> Vec<&Path> {
        let mut sources: Vec<_> = self.files.iter().map(PathBuf::as_path).collect();
        if sources.is_empty() && self.texts.is_empty() {
            sources.push(Path::new("-"));
        }
        sources
    }

    /// # Errors
    /// Usage, if an option has no effect on the format of a source.
    fn check_formats(&self) -> Result<()> {
        let options = self.options();
        for source in self.sources() {
            let format = options.format_of(source);
            self.check_lines_options(source, format)?;
            if let Some(option) = self
                .column_options()
                .next()
                .filter(|_| !format.has_columns())
            {
                let name = format.name();
                return usage(
                    &format!(
                        "{option} is for tables and JSON lines: `{}` is read as {name}",
                        source.display()
                    ),
                    "--input-format jsonl, csv, tsv or parquet says what it is",
                );
            }
            let has_lists = !matches!(format, InputFormat::Csv | InputFormat::Tsv);
            if self.words_column.is_some() && !has_lists {
                return usage(
                    &format!(
                        "--words-column needs lists of words: a cell of {} holds none",
                        format.name()
                    ),
                    "use jsonl or parquet, or --text-column",
                );
            }
        }
        Ok(())
    }

    /// # Errors
    /// Usage, if an option for lines of text is used with another format.
    fn check_lines_options(&self, source: &Path, format: InputFormat) -> Result<()> {
        if format == InputFormat::Lines {
            return Ok(());
        }
        let name = format.name();
        let option = match (&self.pair_separator, self.null) {
            (Some(_), _) => "--pair-separator",
            (None, true) => "--null",
            (None, false) => return Ok(()),
        };
        let tip = match (option, format.has_columns()) {
            ("--pair-separator", true) => {
                "the second segment has a column or key of its own, see --pair-column: \
                 leave --pair-separator out"
            }
            _ => "leave it out, or use --input-format lines",
        };
        if self.input_format.is_some() {
            return usage(
                &format!("{option} and --input-format {name} do not go together"),
                tip,
            );
        }
        usage(
            &format!(
                "{option} is for lines of text: `{}` is read as {name} by its ending",
                source.display()
            ),
            tip,
        )
    }
}
