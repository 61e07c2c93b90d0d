//! The arguments for the texts, and the checks between them.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::error::{Result, usage};
use crate::input::{InputFormat, InputOptions, Quote};

/// Which texts are embedded, and how they are read.
#[derive(Debug, Clone, Args, Serialize)]
#[command(next_help_heading = "Input")]
pub(crate) struct InputArguments {
    /// Texts to embed, one record each
    #[arg(value_name = "TEXT")]
    #[serde(skip)]
    pub texts: Vec<String>,

    /// Read texts from PATH; `-` is standard input
    ///
    /// The option can be repeated, and takes several paths at once. A file has one text per line,
    /// unless its ending or --input-format says otherwise. gzip and zstd are decompressed.
    #[arg(short, long = "file", value_name = "PATH", num_args = 1..)]
    #[serde(skip)]
    pub files: Vec<PathBuf>,

    #[command(flatten)]
    #[serde(flatten)]
    pub options: InputOptions,
}

impl InputArguments {
    /// # Errors
    /// A usage error if options contradict each other, or one would have no effect.
    pub(super) fn check(&self) -> Result<()> {
        self.check_source()?;
        self.check_pairs()?;
        self.check_formats()
    }

    fn check_source(&self) -> Result<()> {
        if self.texts.is_empty() {
            return Ok(());
        }
        if self.texts == ["-"] {
            return usage(
                "a lone TEXT `-` is ambiguous: it would be embedded as a text",
                "-f - reads standard input",
            );
        }
        if !self.files.is_empty() {
            return usage(
                "TEXT arguments and --file were both given: texts come from one source",
                "put the arguments into the file, or run twice",
            );
        }
        if self.options.input_format.is_some() {
            return usage(
                "--input-format is for files and standard input: a TEXT argument is one text",
                "leave --input-format out, or give lines with --file or on standard input",
            );
        }
        let columns = self.options.columns.given();
        let named = columns.chain(self.options.dialect.given()).next();
        match named.or(self.options.null.then_some("--null")) {
            None => Ok(()),
            Some(option) => usage(
                &format!(
                    "{option} is for files and standard input: \
                     a TEXT argument is one text"
                ),
                &format!("leave {option} out, or give the texts with --file or on standard input"),
            ),
        }
    }

    fn check_pairs(&self) -> Result<()> {
        if self.options.pair.is_some() && self.texts.len() != 1 {
            let texts = self.texts.len();
            return usage(
                &format!("--pair needs exactly one TEXT argument: got {texts}"),
                "for many pairs use --file with --pair-separator",
            );
        }
        match self.options.pair_separator.as_deref() {
            Some("") => usage(
                "--pair-separator is empty",
                "for example --pair-separator ' ||| '",
            ),
            _ => Ok(()),
        }
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
    /// A usage error if an option has no effect on the format of a source.
    fn check_formats(&self) -> Result<()> {
        for source in self.sources() {
            let format = self.options.format_of(source);
            self.check_lines_options(source, format)?;
            let mut given = self.options.columns.given();
            if let Some(option) = given.next().filter(|_| !format.spec().has_columns) {
                let name = format.spec().name;
                return usage(
                    &format!(
                        "{option} is for tables and JSON lines: `{}` is read as {name}",
                        source.display()
                    ),
                    &format!(
                        "--input-format {} says what it is",
                        InputFormat::names(|spec| spec.has_columns)
                    ),
                );
            }
            self.check_dialect(source, format)?;
            if self.options.columns.words.is_some() && !format.spec().has_lists {
                return usage(
                    &format!(
                        "--words-column needs lists of words: a cell of {} holds none",
                        format.spec().name
                    ),
                    &format!(
                        "use {}, or --text-column",
                        InputFormat::names(|spec| spec.has_lists)
                    ),
                );
            }
        }
        Ok(())
    }

    /// # Errors
    /// A usage error if an option for csv and tsv is used with another format, or with an option
    /// that makes it ineffective.
    fn check_dialect(&self, source: &Path, format: InputFormat) -> Result<()> {
        let dialect = &self.options.dialect;
        let option = dialect.given().next();
        if let Some(option) = option.filter(|_| format.spec().delimiter.is_none()) {
            return usage(
                &format!(
                    "{option} is for csv and tsv: `{}` is read as {}",
                    source.display(),
                    format.spec().name
                ),
                &format!(
                    "--input-format {} says what it is",
                    InputFormat::names(|spec| spec.delimiter.is_some())
                ),
            );
        }
        match dialect.escape {
            Some(_) if dialect.quote == Some(Quote::None) => usage(
                "--escape and --quote none do not go together: it escapes quotation marks",
                "leave --escape out",
            ),
            Some(escape) if dialect.delimiter == Some(escape) => usage(
                "--escape and --delimiter are the same character",
                r"for example --escape '\' --delimiter ';'",
            ),
            Some(_) | None => Ok(()),
        }
    }

    /// # Errors
    /// A usage error if an option for lines of text is used with another format.
    fn check_lines_options(&self, source: &Path, format: InputFormat) -> Result<()> {
        if format == InputFormat::Lines {
            return Ok(());
        }
        let name = format.spec().name;
        let option = match (&self.options.pair_separator, self.options.null) {
            (Some(_), _) => "--pair-separator",
            (None, true) => "--null",
            (None, false) => return Ok(()),
        };
        let tip = match (option, format.spec().has_columns) {
            ("--pair-separator", true) => {
                "the second segment has its own column or key, see --pair-column: \
                 leave --pair-separator out"
            }
            _ => "leave it out, or use --input-format lines",
        };
        if self.options.input_format.is_some() {
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
