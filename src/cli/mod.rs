//! The command line; no input or output happens here.
//!
//! [`Arguments`] is what was typed; its doc comments are the help. What a model computes is in
//! `options.rs`. Checks that need the model are in `app/request.rs`.

#![allow(
    clippy::doc_markdown,
    reason = "the doc comments are the help, where backticks show"
)]

mod check;
mod input;
mod version;

use std::ffi::OsStr;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches, Parser};
use serde::Serialize;

pub(crate) use self::version::program;
use crate::error::exit;
use crate::options::Options;
use crate::output::{Float, OutputFormat};
pub(crate) use input::InputArguments;

/// The model that is used if none is named.
pub(crate) const DEFAULT_MODEL: &str = "google-bert/bert-base-uncased";

/// Turn text into the vectors of BERT and its kin: one JSON object per text, with last_hidden_state
/// and pooler_output
///
/// Texts are read from the arguments, from files (one text per line) or from standard input. The
/// model is downloaded from the Hugging Face hub the first time and then read from the cache. A
/// text from a pipe is processed immediately: a program can write a line and read its record before
/// it writes the next.
// Serialized, these are the options that change the records. A new option is compared by --resume
// unless it says `serde(skip)`.
#[derive(Debug, Clone, Parser, Serialize)]
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
pub(crate) struct Arguments {
    #[command(flatten)]
    #[serde(flatten)]
    pub input: InputArguments,

    /// Hub id (owner/name) or directory of a checkpoint of BERT or its kin: bert, albert,
    /// camembert, data2vec-text, distilbert, electra, ernie, mpnet, roberta, xlm-roberta
    #[arg(
        short,
        long,
        value_name = "ID|DIR",
        default_value = DEFAULT_MODEL,
        env = "BERT_EMBED_MODEL",
        hide_env_values = true,
        help_heading = "Model"
    )]
    #[serde(skip)]
    pub model: String,

    #[command(flatten)]
    #[serde(flatten)]
    pub options: Options,

    /// Write to FILE
    ///
    /// FILE appears only when it is complete. Until then the records are in FILE.partial, which
    /// stays if the run is interrupted (but not with --format json).
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    #[serde(skip)]
    pub output: Option<PathBuf>,

    /// Format of the output [default: by the ending of FILE, or jsonl]
    #[arg(long, value_name = "FORMAT", help_heading = "Output", long_help = format!(
        "Format of the output [default: by the ending of FILE, or jsonl]\n\nThe endings are {}.",
        OutputFormat::endings().join(", ")
    ))]
    pub format: Option<OutputFormat>,

    /// Number type of the vectors in files other than JSON.
    #[arg(
        long,
        value_name = "TYPE",
        default_value_t,
        value_enum,
        help = format!(
            "Number type of the vectors in {}",
            OutputFormat::names(|spec| spec.takes_float)
        ),
        help_heading = "Output"
    )]
    pub float: Float,

    /// Print the vectors for people to read
    ///
    /// Each token has its id and mask; of each row the first and last values are shown.
    #[arg(long, help_heading = "Output", conflicts_with_all = ["format", "output", "dry_run"])]
    #[serde(skip)]
    pub preview: bool,

    /// Only tokenize, and report what a run would do
    ///
    /// No weights are loaded and no output is written. The report on standard output has the number
    /// of texts, errors and tokens, how many texts are too long, and the size of the output. With
    /// --format json it is one JSON object.
    #[arg(long, help_heading = "Output")]
    #[serde(skip)]
    pub dry_run: bool,

    /// Continue an interrupted run with the same -o
    ///
    /// This fails if the model, the input or an option that changes the records is not the same, or
    /// if the kept records are damaged. A FILE that the same run has completed is left unchanged
    /// (exit 0); a FILE of another run is refused (exit 7). The file's attribute `user.bert-embed`
    /// records which run wrote it; a plain copy drops it. If there is neither FILE nor
    /// FILE.partial, the run starts from the beginning.
    #[arg(long, requires = "output", help_heading = "Execution")]
    #[serde(skip)]
    pub resume: bool,

    /// Stop at the first text that cannot be embedded (exit 3)
    ///
    /// Without this, the text's record is an error, and the run continues.
    #[arg(long, help_heading = "Execution")]
    #[serde(skip)]
    pub fail_fast: bool,

    /// Exit with code 0 even if some records are errors
    #[arg(long, help_heading = "Execution", conflicts_with = "fail_fast")]
    #[serde(skip)]
    pub errors_ok: bool,

    /// Describe the model and its files, and list what a run would download
    ///
    /// No text and no weights are read. With --format json, the description is one JSON object.
    #[arg(long, help_heading = "Model")]
    #[serde(skip)]
    pub info: bool,

    /// Check this installation on the chosen model and device
    #[arg(long, help_heading = "Execution")]
    #[serde(skip)]
    pub self_test: bool,

    /// Print the completion script for SHELL
    #[arg(long, value_name = "SHELL", help_heading = "Execution")]
    #[serde(skip)]
    pub completions: Option<clap_complete::Shell>,

    /// Print the manual page (roff)
    #[arg(long, help_heading = "Execution")]
    #[serde(skip)]
    pub man: bool,

    /// Print no progress bar, notes or warnings
    #[arg(short, long, help_heading = "Execution")]
    #[serde(skip)]
    pub quiet: bool,
}

/// Options for a task that embeds no texts, each with the other options that it takes.
const TASKS: [(&str, &str); 4] = [
    ("info", "model revision cache_dir offline format quiet"),
    ("self_test", SETUP),
    ("completions", SETUP),
    ("man", SETUP),
];

const SETUP: &str = "model revision cache_dir offline device dtype threads quiet";

const ENVIRONMENT: &str = "\
Environment: HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN, HF_TOKEN_PATH, HF_HUB_OFFLINE,
HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE; BERT_EMBED_MODEL, BERT_EMBED_DEVICE, BERT_EMBED_THREADS
as defaults.";

/// The end of the help: exit codes and environment.
fn after_help() -> String {
    let meanings = exit::MEANINGS.map(|(code, meaning)| format!("{code} {meaning}"));
    format!("Exit codes: {}.\n\n{ENVIRONMENT}", meanings.join(", "))
}

impl Arguments {
    /// What was typed, with defaults from the environment. An empty variable counts as unset.
    ///
    /// # Errors
    /// What clap finds wrong; for `--help` and `--version`, their text.
    pub(crate) fn from_command_line() -> Result<Self, clap::Error> {
        let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
        let mut command = Self::command().mut_args(|argument| match argument.get_env() {
            Some(name) if is_empty(name) => argument.env(None),
            _ => argument,
        });
        let matches = command.try_get_matches_from_mut(std::env::args_os())?;
        check_task(&mut command, &matches)?;
        Self::from_arg_matches(&matches)
    }
}

/// Refuses an option that has no effect on the task. A default from the environment is not refused.
fn check_task(command: &mut Command, matches: &ArgMatches) -> Result<(), clap::Error> {
    let is_typed = |option: &str| matches.value_source(option) == Some(ValueSource::CommandLine);
    let Some((task, taken)) = TASKS.iter().find(|(task, _)| is_typed(task)) else {
        return Ok(());
    };
    let has_no_effect = |argument: &&Arg| {
        let option = argument.get_id().as_str();
        option != *task && is_typed(option) && !taken.split(' ').any(|taken| taken == option)
    };
    let Some(other) = command.get_arguments().find(has_no_effect) else {
        return Ok(());
    };
    let task = task.replace('_', "-");
    let message = format!("'{other}' has no effect with '--{task}'");
    Err(command.error(ErrorKind::ArgumentConflict, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn tasks_take_options_that_exist() {
        let command = Arguments::command();
        for option in TASKS
            .iter()
            .flat_map(|(task, taken)| taken.split(' ').chain([*task]))
        {
            assert!(
                command
                    .get_arguments()
                    .any(|argument| argument.get_id() == option)
            );
        }
    }
}
