//! The arguments; no input or output happens here.
//!
//! [`Arguments`] is what was typed; its doc comments are the help. Checks that need the model are
//! in `app/request.rs`.

#![allow(
    clippy::doc_markdown,
    reason = "the doc comments are the help, where backticks show"
)]

mod check;
mod format;
mod input;
mod version;

use std::ffi::OsStr;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser};

pub(crate) use self::version::program;
use crate::error::exit;
use crate::ops::Precision;
use crate::ops::device::DeviceChoice;
use crate::output::{Fields, Float, OutputFormat};
use crate::record::{Field, Selection};
use crate::tokenize::{OnLong, Padding};
use crate::vectors::{LayerMerge, Pooling, WordPooling};

pub use input::InputArguments;

/// The model that is used if none is named.
pub const DEFAULT_MODEL: &str = "google-bert/bert-base-uncased";

/// Turn text into BERT's vectors: one JSON object a text, with last_hidden_state and pooler_output.
///
/// Texts come from the arguments, from files (one text a line) or from standard input. The model is
/// downloaded from the Hugging Face hub at first use and read from the cache from then on. A text
/// that comes through a pipe is answered at once: a program can write a line and read its record
/// before it writes the next.
#[derive(Debug, Clone, Parser)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
#[command(
    name = "bert-embed",
    version,
    long_version = version::LONG_VERSION.as_str(),
    max_term_width = 100,
    after_help = after_help()
)]
pub struct Arguments {
    /// The texts.
    #[command(flatten)]
    pub input: InputArguments,

    /// Hub id (owner/name) or directory of a BERT checkpoint
    #[arg(
        short,
        long,
        value_name = "ID|DIR",
        default_value = DEFAULT_MODEL,
        env = "BERT_EMBED_MODEL",
        hide_env_values = true,
        help_heading = "Model"
    )]
    pub model: String,

    /// Branch, tag or commit of the model on the hub
    #[arg(
        long,
        value_name = "REV",
        default_value = "main",
        help_heading = "Model"
    )]
    pub revision: String,

    /// Directory of the hub's cache [default: $HF_HUB_CACHE, $HF_HOME/hub or
    /// ~/.cache/huggingface/hub]
    #[arg(long, value_name = "DIR", help_heading = "Model")]
    pub cache_dir: Option<PathBuf>,

    /// Use the cache only, never the network (as HF_HUB_OFFLINE=1)
    #[arg(long, help_heading = "Model")]
    pub offline: bool,

    /// Longest record in tokens, `[CLS]` and `[SEP]` included [default: the
    /// tokenizer's model_max_length, at most the model's max_position_embeddings]
    #[arg(long, value_name = "N", help_heading = "Tokens", value_parser = check::max_length)]
    pub max_length: Option<u32>,

    /// What happens to a text that is longer
    #[arg(
        long,
        value_name = "HOW",
        default_value = "truncate",
        help_heading = "Tokens"
    )]
    pub on_long: OnLong,

    /// Tokens that neighbouring windows share [default: a quarter of --max-length]
    #[arg(long, value_name = "N", help_heading = "Tokens")]
    pub stride: Option<u32>,

    /// Fill records up with `[PAD]`: to the longest record of the input, or to --max-length
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "none",
        help_heading = "Tokens"
    )]
    pub padding: Padding,

    /// Fields of a record, comma-separated
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        help_heading = "Output"
    )]
    pub fields: Vec<Field>,

    /// Layers for hidden_states and attentions: 0 is the embedding output, which has no attentions,
    /// 1..L the layers, negatives from the end
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        allow_hyphen_values = true,
        help_heading = "Output"
    )]
    pub layers: Vec<i64>,

    /// How the layers become one
    #[arg(
        long,
        value_name = "HOW",
        default_value = "none",
        requires = "layers",
        help_heading = "Output"
    )]
    pub layer_merge: LayerMerge,

    /// Fill `embedding`, one vector a text, from the real tokens of last_hidden_state or the pooler
    #[arg(long, value_name = "HOW", help_heading = "Output")]
    pub pooling: Option<Pooling>,

    /// Put a prompt before each text: the NAME of one in the model's
    /// config_sentence_transformers.json, or any TEXT with a space or a colon as it stands [default
    /// with --pooling model: the model's own, if it has one]
    #[arg(long, value_name = "NAME|TEXT", help_heading = "Tokens")]
    pub prompt: Option<String>,

    /// Keep the first N numbers of `embedding`, before --normalize [default with --pooling model:
    /// as the model says]
    #[arg(
        long,
        value_name = "N",
        requires = "pooling",
        help_heading = "Output",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub truncate_dim: Option<u32>,

    /// Scale `embedding` to length 1
    #[arg(long, requires = "pooling", help_heading = "Output")]
    pub normalize: bool,

    /// Fill `words`, one vector a word, from its tokens' rows of `last_hidden_state`
    #[arg(long, value_name = "HOW", help_heading = "Output")]
    pub word_pooling: Option<WordPooling>,

    /// Write to FILE, which appears complete or not at all. Until then the records are in
    /// FILE.partial, which stays if the run is interrupted (but not with --format json)
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,

    /// Form of the output [default: by the ending of --output (.jsonl, .json, .npy, .safetensors,
    /// .parquet); jsonl if it has none. .jsonl.gz and .jsonl.zst are compressed]
    #[arg(long, value_name = "FORMAT", help_heading = "Output")]
    pub format: Option<OutputFormat>,

    /// Type of the numbers in npy, safetensors and parquet
    #[arg(
        long,
        value_name = "TYPE",
        default_value = "f32",
        help_heading = "Output"
    )]
    pub float: Float,

    /// Print for people to read: each token with its id and mask, shapes, first and last values of
    /// a row
    #[arg(long, help_heading = "Output", conflicts_with_all = ["format", "output", "dry_run"])]
    pub preview: bool,

    /// Tokenize only, load no weights and write no output: print the number of texts, errors and
    /// tokens, how many texts are too long, and the size of the output in each format to standard
    /// output; with --format json as one JSON object
    #[arg(long, help_heading = "Output", conflicts_with = "self_test")]
    pub dry_run: bool,

    /// Where the encoder runs: auto, cpu, cuda or cuda:N; auto takes a GPU if this build can use
    /// one and one answers
    #[arg(
        long,
        value_name = "DEVICE",
        default_value = "auto",
        env = "BERT_EMBED_DEVICE",
        hide_env_values = true,
        help_heading = "Execution"
    )]
    pub device: DeviceChoice,

    /// What the model computes with. f16 and bf16 round the weights: a GPU computes in them; the
    /// CPU computes in f32 all the same, reads weights that are stored that way in place, and is
    /// seldom faster. int16 and int8 are faster on the CPU: there the linear layers are in
    /// integers, all else is in f32
    #[arg(
        long,
        value_name = "DTYPE",
        default_value = "f32",
        help_heading = "Execution"
    )]
    pub dtype: Precision,

    /// Threads of the encoder [default: the processors this process may use]
    #[arg(
        long,
        value_name = "N",
        env = "BERT_EMBED_THREADS",
        hide_env_values = true,
        help_heading = "Execution",
        value_parser = clap::value_parser!(u16).range(1..=1024)
    )]
    pub threads: Option<u16>,

    /// Tokens that the encoder takes at once; more is faster, up to a point, and needs more memory
    /// [default: 512, on a GPU 16384]
    #[arg(
        long,
        value_name = "N",
        help_heading = "Execution",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub batch_tokens: Option<u32>,

    /// Continue an interrupted run with the same -o. Fails if the model, a relevant option or the
    /// input has changed, or if what was kept is damaged. A FILE that the same run has completed
    /// stays as it is (exit 0). One of another run is refused (exit 7): the file's attribute
    /// `user.bert-embed` tells it, which a plain copy loses. If there is neither, the run starts
    /// from the beginning
    #[arg(long, requires = "output", help_heading = "Execution")]
    pub resume: bool,

    /// Stop at the first text that cannot be embedded (exit 3) instead of writing its error
    #[arg(long, help_heading = "Execution")]
    pub fail_fast: bool,

    /// End with exit code 0 even if some records are errors
    #[arg(long, help_heading = "Execution", conflicts_with = "fail_fast")]
    pub errors_ok: bool,

    /// Describe the model and its files, and what a run would download; reads no text and no
    /// weights. With --format json as one JSON object
    #[arg(long, help_heading = "Model", conflicts_with_all = check::not_for_info())]
    pub info: bool,

    /// Check this installation on the chosen model and device
    #[arg(long, help_heading = "Execution", conflicts_with_all = check::NOT_FOR_SELF_TEST)]
    pub self_test: bool,

    /// Print the completion script for SHELL
    // Not `exclusive`: a default from the environment must not contradict it.
    #[arg(
        long,
        value_name = "SHELL",
        help_heading = "Execution",
        conflicts_with_all = check::NOT_FOR_SELF_TEST
    )]
    pub completions: Option<clap_complete::Shell>,

    /// Print the manual page (roff)
    #[arg(long, help_heading = "Execution", conflicts_with_all = check::NOT_FOR_SELF_TEST)]
    pub man: bool,

    /// No progress bar and no warnings
    #[arg(short, long, help_heading = "Execution")]
    pub quiet: bool,
}

const ENVIRONMENT: &str = "\
Environment: HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN, HF_TOKEN_PATH, HF_HUB_OFFLINE,
HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE; BERT_EMBED_MODEL, BERT_EMBED_DEVICE, BERT_EMBED_THREADS
as defaults.";

/// The end of the help: exit codes and environment.
fn after_help() -> String {
    let meanings = exit::MEANINGS.map(|(code, meaning)| format!("{code} {meaning}"));
    format!("Exit codes: {}.\n\n{ENVIRONMENT}", meanings.join(", "))
}

impl Default for Arguments {
    /// The defaults of the command; the environment is not read.
    fn default() -> Self {
        let command = Self::command().mut_args(|argument| argument.env(None));
        let parsed = command.try_get_matches_from(["bert-embed"]);
        let parsed = parsed.and_then(|matches| Self::from_arg_matches(&matches));
        // An empty command line always parses.
        parsed.unwrap_or_else(|error| error.exit())
    }
}

impl Arguments {
    /// What was typed, with the defaults of the environment. A variable that is empty is none.
    ///
    /// # Errors
    /// What clap finds wrong; for `--help` and `--version`, their text.
    pub fn from_command_line() -> Result<Self, clap::Error> {
        let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
        let mut command = Self::command().mut_args(|argument| match argument.get_env() {
            Some(name) if is_empty(name) => argument.env(None),
            _ => argument,
        });
        let matches = command.try_get_matches_from_mut(std::env::args_os())?;
        let is_typed =
            |option: &&&str| matches.value_source(option) == Some(ValueSource::CommandLine);
        match check::NOT_TYPED_WITH_INFO.iter().find(is_typed) {
            Some(option) if matches.get_flag("info") => Err(command.error(
                ErrorKind::ArgumentConflict,
                format!("--info reads no weights: --{option} would have no effect"),
            )),
            _ => Self::from_arg_matches(&matches),
        }
    }

    /// The fields of a record in the contract's order, with those that other options ask for.
    #[must_use]
    pub fn record_fields(&self) -> Vec<Field> {
        let format = self.output_format();
        let selected = |when| {
            let fields = Field::ALL.iter().copied();
            fields.filter(move |field| field.spec().selection == when && format.holds(*field))
        };
        let mut fields = self.fields.clone();
        if fields.is_empty() {
            match format.spec().fields {
                Fields::Any | Fields::NumericAndId => fields.extend(selected(Selection::ByDefault)),
                // So that a run notices that the input has ids.
                Fields::OneVector => fields.push(Field::Id),
            }
        }
        if !self.input.options.columns.keep.is_empty() {
            fields.push(Field::Columns);
        }
        if !self.layers.is_empty() && !fields.contains(&Field::Attentions) {
            fields.push(Field::HiddenStates);
        }
        if self.pooling.is_some() {
            fields.push(Field::Embedding);
        }
        if self.word_pooling.is_some() {
            fields.push(Field::Words);
        }
        for field in fields.clone() {
            fields.extend(selected(Selection::With(field)));
        }
        fields.extend(selected(Selection::Always));
        fields.sort_unstable();
        fields.dedup();
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn options_that_fill_a_field_add_it() {
        let arguments = Arguments::parse_from([
            "bert-embed",
            "--layers",
            "-1,0",
            "--pooling",
            "mean",
            "text",
        ]);
        let fields = arguments.record_fields();
        assert!(fields.contains(&Field::HiddenStates) && fields.contains(&Field::Embedding));
        assert_eq!(arguments.layers, [-1, 0]);
    }
}
