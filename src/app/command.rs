//! The command: parse, run, print the error, exit with its code.

use std::ffi::OsStr;
use std::io::{self, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::sync::Arc;

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue};
use signal_hook::consts::SIGXFSZ;

use crate::app::run::{Outcome, run};
use crate::cli::Arguments;
use crate::error::{Error, Kind, Result, counted, exit};
use crate::standard_streams;

/// Parses the command line, runs, prints the error, and returns the exit code.
#[must_use]
pub fn command() -> ExitCode {
    let arguments = match Arguments::from_command_line() {
        Ok(arguments) => arguments,
        Err(error) if error.exit_code() == 0 => return ended(help(&error)),
        Err(error) => return ended(Err(usage(&error))),
    };
    if let Err(cause) = outlive_the_file_size_limit() {
        return ended(Err(Error::new(Kind::Internal, cause)));
    }
    ended(match documentation(&arguments) {
        Some(written) => written.map(|()| Outcome::Done),
        None => run(&arguments),
    })
}

/// Prints the error, if there is one, and returns the exit code.
fn ended(outcome: Result<Outcome>) -> ExitCode {
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::SomeRecordsAreErrors) => ExitCode::from(exit::SOME_RECORDS_ARE_ERRORS),
        Ok(Outcome::Stopped {
            records,
            exit_code,
            resumable,
        }) => {
            if let Some(records) = records {
                let signal = if exit_code == exit::INTERRUPTED {
                    "SIGINT"
                } else {
                    "SIGTERM"
                };
                let written = counted(records, "record");
                let _ = writeln!(io::stderr(), "stopped by {signal}: {written} written");
            }
            if resumable {
                let _ = writeln!(io::stderr(), "  tip: continue with: {}", resuming_command());
            }
            ExitCode::from(exit_code)
        }
        // The reader has all it wants, as in `| head`: exit quietly.
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&error);
            ExitCode::from(error.kind().exit_code())
        }
    }
}

/// Prints the completion script or the manual page; `None` if neither was requested.
fn documentation(arguments: &Arguments) -> Option<Result<()>> {
    let mut text = Vec::new();
    let mut command = Arguments::command();
    if let Some(shell) = arguments.completions {
        clap_complete::generate(shell, &mut command, "bert-embed", &mut text);
    } else if arguments.man {
        if let Err(cause) = clap_mangen::Man::new(command).render(&mut text) {
            return Some(Err(Error::new(Kind::Internal, cause)));
        }
    } else {
        return None;
    }
    Some(standard_streams::print(&text))
}

/// Prints the text of `--help` or `--version`.
fn help(error: &clap::Error) -> Result<Outcome> {
    let text = error.render();
    let text = if io::stdout().is_terminal() {
        text.ansi().to_string()
    } else {
        text.to_string()
    };
    standard_streams::print(text.as_bytes()).map(|()| Outcome::Done)
}

/// Prints `error` and its tip; both are lost if standard error is closed.
fn print_error(error: &Error) {
    let mut stderr = io::stderr();
    let _ = writeln!(stderr, "error: {error}");
    if let Some(tip) = error.tip() {
        let _ = writeln!(stderr, "  tip: {tip}");
    }
}

/// The command line that resumes this run.
fn resuming_command() -> String {
    let mut words: Vec<_> = std::env::args_os().map(|word| quoted(&word)).collect();
    if !words.iter().any(|word| word == "--resume") {
        words.insert(1, "--resume".to_owned());
    }
    words.join(" ")
}

/// `word`, quoted for a shell: as `$'…'` if it has bytes that cannot be printed on one line.
fn quoted(word: &OsStr) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./=:,@%+".contains(byte);
    let bytes = word.as_bytes();
    match word.to_str() {
        Some(word) if !word.is_empty() && bytes.iter().all(plain) => word.to_owned(),
        Some(word) if !word.chars().any(char::is_control) => {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
        _ => {
            let escaped = bytes.iter().map(|byte| match byte {
                b' '..=b'~' if !b"'\\".contains(byte) => char::from(*byte).to_string(),
                _ => format!("\\x{byte:02x}"),
            });
            format!("$'{}'", escaped.collect::<String>())
        }
    }
}

/// Ignores the signal of the file size limit: the write then fails instead of killing the process,
/// and the temporary file is removed.
fn outlive_the_file_size_limit() -> io::Result<()> {
    signal_hook::flag::register(SIGXFSZ, Arc::default()).map(|_| ())
}

/// clap's error as one line and at most one tip.
fn usage(error: &clap::Error) -> Error {
    let text = error.to_string();
    let (mut message, mut tip) = (String::new(), None);
    let mut paragraphs = text.split("\n\n").map(|paragraph| {
        let words: Vec<_> = paragraph.split_whitespace().collect();
        words.join(" ")
    });
    if let Some(first) = paragraphs.next() {
        message.push_str(first.strip_prefix("error: ").unwrap_or(&first));
    }
    for paragraph in paragraphs {
        if let Some(words) = paragraph.strip_prefix("tip: ") {
            tip.get_or_insert_with(|| words.to_owned());
        }
    }
    let tip = our_name(error).or(tip);
    let error = Error::message(Kind::Usage, message);
    error.with_tip(tip.unwrap_or_else(|| "bert-embed --help".to_owned()))
}

/// Our name for an option that similar tools call something else.
fn our_name(error: &clap::Error) -> Option<String> {
    const NAMES: [(&str, &str); 8] = [
        ("--output-format", "--format"),
        ("--output-file", "--output"),
        ("--input", "--file"),
        ("--input-file", "--file"),
        ("--model-name", "--model"),
        ("--max-seq-length", "--max-length"),
        ("--batch-size", "--batch-tokens"),
        ("--layer", "--layers"),
    ];
    let ContextValue::String(typed) = error.get(ContextKind::InvalidArg)? else {
        return None;
    };
    let typed = typed.replace('_', "-");
    let (_, ours) = NAMES.iter().find(|(theirs, _)| *theirs == typed)?;
    Some(format!("use `{ours}`"))
}
