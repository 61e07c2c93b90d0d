//! What clap cannot check: options that contradict each other, or that would have no effect.
//!
//! The checks of `--format` are in `format.rs`; those that need the model are in `app/request.rs`.

use super::{Arguments, Field, OnLong, OutputFormat, Padding};
use crate::error::{Error, Kind, Result};
use crate::ops::device::DeviceChoice;
use crate::output::NotResumable;

/// Options without effect on `--self-test`, which has a text and fields of its own.
pub(super) const NOT_FOR_SELF_TEST: [&str; 34] = [
    "texts",
    "files",
    "input_format",
    "null",
    "text_column",
    "pair_column",
    "id_column",
    "words_column",
    "keep_columns",
    "skip",
    "limit",
    "shard",
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
    "float",
    "preview",
    "batch_tokens",
    "resume",
    "fail_fast",
    "errors_ok",
];

/// Options without effect on `--info` that may have a default from the environment, which must not
/// contradict it.
pub(super) const NOT_TYPED_WITH_INFO: [&str; 2] = ["device", "threads"];

/// Options without effect on `--info`, which uses neither text nor device but can print JSON.
pub(super) fn not_for_info() -> impl Iterator<Item = &'static str> {
    let others = ["dry_run", "self_test"];
    let format = |option: &&str| *option != "format";
    NOT_FOR_SELF_TEST.into_iter().filter(format).chain(others)
}

impl Arguments {
    /// Checks what clap cannot: options that contradict each other, or that would have no effect.
    ///
    /// # Errors
    /// [`Kind::Usage`], naming both options.
    pub fn check(&self) -> Result<()> {
        self.check_info()?;
        self.input.check()?;
        self.check_fields()?;
        self.check_format()?;
        self.check_resume()?;
        self.check_dtype()?;
        self.check_windows()
    }

    fn check_info(&self) -> Result<()> {
        match self.format {
            Some(format) if self.info && format != OutputFormat::Json => usage(
                "--info prints lines of text, or one JSON object with --format json",
                "leave --format out",
            ),
            _ => Ok(()),
        }
    }

    fn check_fields(&self) -> Result<()> {
        let needs = [
            (Field::Embedding, "--pooling", self.pooling.is_some()),
            (Field::Words, "--word-pooling", self.word_pooling.is_some()),
        ];
        for (field, option, is_given) in needs {
            if self.fields.contains(&field) && !is_given {
                let message = format!("the field `{}` needs {option}", field.name());
                return usage(&message, &format!("add {option} mean"));
            }
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

    fn check_dtype(&self) -> Result<()> {
        match self.device {
            DeviceChoice::Cuda(_) if self.dtype.is_integer() => usage(
                "--dtype int16 and int8 are for the CPU: a GPU does not compute in integers",
                "use --device cpu, or --dtype f16",
            ),
            DeviceChoice::Auto | DeviceChoice::Cpu | DeviceChoice::Cuda(_) => Ok(()),
        }
    }

    /// The device to open; `auto` is the CPU for precisions that only the CPU has.
    #[must_use]
    pub fn device_choice(&self) -> DeviceChoice {
        match self.device {
            DeviceChoice::Auto if self.dtype.is_integer() => DeviceChoice::Cpu,
            choice => choice,
        }
    }

    /// # Errors
    /// [`Kind::Usage`] if windows are combined with records of one length, or `--stride` comes
    /// without them.
    fn check_windows(&self) -> Result<()> {
        if self.on_long != OnLong::Window {
            return match self.stride {
                Some(_) => usage("--stride needs --on-long window", "add --on-long window"),
                None => Ok(()),
            };
        }
        if self.padding != Padding::None {
            return usage(
                "--padding and --on-long window do not go together: a record of \
                 several windows has more than --max-length tokens",
                "leave --padding out",
            );
        }
        let format = self.output_format();
        if !format.spec().takes_ragged {
            let name = format.name();
            return usage(
                &format!(
                    "--format {name} and --on-long window do not go together: \
                     a batch tensor needs records of one length"
                ),
                "use --format jsonl",
            );
        }
        Ok(())
    }
}

/// The tokens of `--max-length`; the model's own limit is checked when it is known.
pub(super) fn max_length(typed: &str) -> std::result::Result<u32, String> {
    match typed.parse() {
        Ok(tokens @ 3..) => Ok(tokens),
        _ => Err(
            "allowed are 3 (`[CLS]`, one token of the text, `[SEP]`) to the model's \
             max_position_embeddings"
                .to_owned(),
        ),
    }
}

pub(super) fn usage(message: &str, tip: &str) -> Result<()> {
    Err(Error::message(Kind::Usage, message).with_tip(tip))
}
