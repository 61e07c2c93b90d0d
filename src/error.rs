//! Kinds of error, every exit code, and how an error is printed.
//!
//! Inside a room, errors are built with [`anyhow`]'s `Context`. Where an error leaves the room,
//! `Classify` turns it into an [`Error`] with a [`Kind`].

use std::fmt;

/// The result of an operation of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// The exit codes of runs that did not fail; the exit codes of errors are in [`Kind`].
pub(crate) mod exit {
    use super::Kind;

    /// Every text has its record, but some records are errors.
    pub(crate) const SOME_RECORDS_ARE_ERRORS: u8 = 9;
    /// 128 plus the number of SIGINT.
    pub(crate) const INTERRUPTED: u8 = 130;
    /// 128 plus the number of SIGTERM.
    pub(crate) const TERMINATED: u8 = 143;

    /// Every exit code with its meaning, for `--help`. The codes never change.
    pub(crate) const MEANINGS: [(u8, &str); 12] = [
        (0, "done"),
        (Kind::Internal as u8, "internal error"),
        (Kind::Usage as u8, "usage"),
        (Kind::Input as u8, "input"),
        (Kind::Model as u8, "model files"),
        (Kind::Hub as u8, "hub or network (try again)"),
        (Kind::HubRefused as u8, "hub refused"),
        (Kind::Output as u8, "output"),
        (Kind::Device as u8, "device or memory"),
        (SOME_RECORDS_ARE_ERRORS, "done but some records are errors"),
        (INTERRUPTED, "stopped by SIGINT"),
        (TERMINATED, "stopped by SIGTERM"),
    ];
}

/// What an error means for the caller. Its number is the exit code, and never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A bug in this program.
    Internal = 1,
    /// An option has a value that does not exist, or options contradict each other.
    Usage = 2,
    /// No text could be read.
    Input = 3,
    /// The model's files are missing, damaged or not supported.
    Model = 4,
    /// The hub or the network failed; a retry may help.
    Hub = 5,
    /// The hub refused (401, 403, 404); a retry will not help.
    HubRefused = 6,
    /// The output could not be written.
    Output = 7,
    /// The device (a GPU, memory) is missing or failed.
    Device = 8,
}

impl Kind {
    /// The exit code of a process that fails with this kind of error.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        self as u8
    }
}

/// An error for the user: what could not be done, the causes, and at most one tip.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    cause: anyhow::Error,
    tip: Option<String>,
}

impl Error {
    /// An error with this cause, whose chain of contexts becomes the message. An [`Error`] in the
    /// chain keeps its kind and tip; any other cause gets `kind`.
    pub fn new(kind: Kind, cause: impl Into<anyhow::Error>) -> Self {
        let cause = cause.into();
        let (kind, tip) = match cause.downcast_ref::<Self>() {
            Some(inner) => (inner.kind, inner.tip.clone()),
            None => (kind, None),
        };
        Self { kind, cause, tip }
    }

    /// An error without a deeper cause.
    pub fn message(kind: Kind, message: impl fmt::Display) -> Self {
        Self::new(kind, anyhow::anyhow!("{message}"))
    }

    /// Adds one command or option that fixes the error.
    #[must_use]
    pub fn with_tip(mut self, tip: impl Into<String>) -> Self {
        self.tip = Some(tip.into());
        self
    }

    /// Adds what could not be done because of this error.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.cause = self.cause.context(context.to_string());
        self
    }

    /// What the error means for the caller.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether a `T` is among its causes.
    #[must_use]
    pub fn is_caused_by<T: std::error::Error + 'static>(&self) -> bool {
        let is = <dyn std::error::Error + 'static>::is::<T>;
        self.cause.chain().any(is)
    }

    /// Whether the reader of the output has closed its end.
    #[must_use]
    pub fn is_closed_pipe(&self) -> bool {
        let broken = |cause: &std::io::Error| cause.kind() == std::io::ErrorKind::BrokenPipe;
        self.kind == Kind::Output
            && self
                .cause
                .chain()
                .any(|cause| cause.downcast_ref().is_some_and(broken))
    }

    /// One command or option that fixes the error.
    #[must_use]
    pub fn tip(&self) -> Option<&str> {
        self.tip.as_deref()
    }
}

/// `1 layer`, `2 layers`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// Refuses the command line with [`Kind::Usage`] and a tip.
pub(crate) fn usage<T>(message: &str, tip: &str) -> Result<T> {
    Err(Error::message(Kind::Usage, message).with_tip(tip))
}

/// One line: what could not be done, then each cause, joined by `: `; control characters escaped.
impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let causes: Vec<_> = self.cause.chain().map(in_words).collect();
        formatter.write_str(&one_line(&causes.join(": ")))
    }
}

impl std::error::Error for Error {}

fn in_words(cause: &(dyn std::error::Error + 'static)) -> String {
    match cause.downcast_ref() {
        Some(cause) => io_words(cause),
        None => cause.to_string(),
    }
}

/// `No such file or directory (os error 2)` without its number and in lower case.
pub(crate) fn io_words(cause: &std::io::Error) -> String {
    let text = cause.to_string();
    lower_first(text.split(" (os error ").next().unwrap_or(&text))
}

/// `text` with a lower-case first letter, for use after a colon.
pub(crate) fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().into_iter().flat_map(char::to_lowercase);
    first.chain(characters).collect()
}

/// `text` with control characters escaped, so that it stays on one line.
pub(crate) fn one_line(text: &str) -> String {
    text.chars()
        .fold(String::with_capacity(text.len()), |mut line, character| {
            if character.is_control() {
                line.extend(character.escape_default());
            } else {
                line.push(character);
            }
            line
        })
}

/// Whether `error` means that the file does not exist, rather than that looking for it failed.
pub(crate) fn is_not_there(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

/// Gives a cause its [`Kind`] when it leaves a room.
pub(crate) trait Classify<T> {
    /// Turns the error into an [`Error`] of this kind.
    ///
    /// # Errors
    /// The error of the result, if it has one.
    fn kind(self, kind: Kind) -> Result<T>;
}

impl<T, E: Into<anyhow::Error>> Classify<T> for std::result::Result<T, E> {
    fn kind(self, kind: Kind) -> Result<T> {
        self.map_err(|cause| Error::new(kind, cause))
    }
}
