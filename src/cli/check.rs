//! What clap cannot check: options that contradict each other, or that nothing would heed.
//!
//! The checks of `--format` are in `format.rs`; those that need the model are `request.rs`'s.

use std::path::{Path, PathBuf};

use super::{Arguments, Field, InputFormat, OnLong, Padding};
use crate::error::{Error, Kind, Result};
use crate::output::NotResumable;

/// What `--self-test` would not heed: it has a text, fields and numbers of its own.
pub(super) const NOT_FOR_SELF_TEST: [&str; 24] = [
    "texts",
    "files",
    "input_format",
    "pair",
    "pair_separator",
    "max_length",
    "prompt",
    "truncate_dim",
    "on_long",
    "stride",
    "padding",
    "fields",
    "layers",
    "layer_merge",
    "pooling",
    "normalize",
    "word_pooling",
    "output",
    "format",
    "preview",
    "dtype",
    "batch_tokens",
    "resume",
    "fail_fast",
];

impl Arguments {
    /// Checks what clap cannot: options that contradict each other, or that nothing would heed.
    ///
    /// # Errors
    /// [`Kind::Usage`], naming both options.
    pub fn check(&self) -> Result<()> {
        self.check_source()?;
        self.check_pairs()?;
        self.check_fields()?;
        self.check_format()?;
        self.check_resume()?;
        self.check_windows()
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
        Ok(())
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
            None => Ok(()),
            Some("") => usage(
                "--pair-separator is empty",
                "for example --pair-separator ' ||| '",
            ),
            Some(_) => self.check_lines_are_texts(),
        }
    }

    /// # Errors
    /// [`Kind::Usage`] where a line is JSON, which has a key for the second segment.
    fn check_lines_are_texts(&self) -> Result<()> {
        let tip = "a JSON line has its second segment as `text_pair`: leave --pair-separator out";
        if self.input_format == Some(InputFormat::Jsonl) {
            return usage(
                "--pair-separator and --input-format jsonl do not go together",
                tip,
            );
        }
        let is_json = |path: &&PathBuf| self.input_format_of(path) == InputFormat::Jsonl;
        match self.files.iter().find(is_json) {
            None => Ok(()),
            Some(path) => usage(
                &format!(
                    "--pair-separator is for lines of text: `{}` has lines of JSON by its ending",
                    path.display()
                ),
                tip,
            ),
        }
    }

    /// What the lines of the file at `path` are: as asked for, or by its ending.
    #[must_use]
    pub fn input_format_of(&self, path: &Path) -> InputFormat {
        let by_ending = || InputFormat::by_ending(path);
        self.input_format.unwrap_or_else(by_ending)
    }

    fn check_fields(&self) -> Result<()> {
        if self.fields.contains(&Field::Embedding) && self.pooling.is_none() {
            return usage(
                "the field `embedding` needs --pooling",
                "add --pooling mean",
            );
        }
        if self.fields.contains(&Field::Words) && self.word_pooling.is_none() {
            return usage(
                "the field `words` needs --word-pooling",
                "add --word-pooling mean",
            );
        }
        Ok(())
    }

    fn check_resume(&self) -> Result<()> {
        match self.output_format().spec().not_resumable {
            Some(NotResumable { option, why, tip }) if self.resume => usage(
                &format!("--resume and {option} do not go together: {why}"),
                tip,
            ),
            Some(_) | None => Ok(()),
        }
    }

    /// # Errors
    /// [`Kind::Usage`] where windows are asked for together with records of one length, or only by
    /// half.
    fn check_windows(&self) -> Result<()> {
        if self.on_long != OnLong::Window {
            return match self.stride {
                Some(_) => usage("--stride needs --on-long window", "add --on-long window"),
                None => Ok(()),
            };
        }
        if self.padding != Padding::None {
            return usage(
                "--padding and --on-long window do not go together: a record of several windows has more than --max-length tokens",
                "leave --padding out",
            );
        }
        let format = self.output_format();
        if !format.spec().takes_ragged {
            let name = format.name();
            return usage(
                &format!(
                    "--format {name} and --on-long window do not go together: a batch tensor needs records of one length"
                ),
                "use --format jsonl",
            );
        }
        Ok(())
    }
}

pub(super) fn usage(message: &str, tip: &str) -> Result<()> {
    Err(Error::message(Kind::Usage, message).with_tip(tip))
}
