//! Opens the input and the output of a run.

use std::fs::Metadata;
use std::io::IsTerminal;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::cli::Arguments;
use crate::error::{Classify, Error, Kind, Result, one_line};
use crate::input::{self, Texts};
use crate::notes;
use crate::output::{Destination, PartialPolicy, metadata_if_exists};

/// The texts that `arguments` name.
///
/// # Errors
/// [`Kind::Usage`] if there are none; or a file could not be opened.
pub(super) fn texts(arguments: &Arguments) -> Result<Texts> {
    let input = &arguments.input;
    let options = input.options.clone();
    if !input.texts.is_empty() {
        note_file_names(&input.texts);
        return Ok(input::from_arguments(input.texts.clone(), options));
    }
    if !input.files.is_empty() {
        return input::from_files(&input.files, options);
    }
    // Waiting for texts from a terminal would look like a hang.
    if std::io::stdin().is_terminal() {
        return Err(Error::message(
            Kind::Usage,
            "no text was given: neither TEXT nor --file, and standard input is a terminal",
        )
        .with_tip("bert-embed \"a sentence\", or bert-embed --help"));
    }
    input::from_files(&[PathBuf::from("-")], options)
}

/// If the only TEXT names a file, `-f` was probably forgotten.
fn note_file_names(texts: &[String]) {
    let [text] = texts else { return };
    // An error only means that there is no note.
    if matches!(Path::new(text).metadata(), Ok(metadata) if metadata.is_file()) {
        notes::note(&format!(
            "`{}` is the name of a file, but it is embedded as a text: -f reads the file",
            one_line(text)
        ));
    }
}

/// The output. It is opened before the model is loaded, so that a mistyped path fails immediately.
pub(super) fn destination(arguments: &Arguments) -> Result<Destination> {
    let Some(path) = &arguments.output else {
        return Destination::standard_output();
    };
    for input in &arguments.input.files {
        if same_file(input, path)? {
            let cause = format!("it is also the input `{}`", input.display());
            let what = format!("could not write `{}`", path.display());
            return Err(Error::message(Kind::Output, cause).context(what));
        }
    }
    let format = arguments.output_format();
    let policy = match (format.spec().not_resumable, arguments.resume) {
        (Some(_), _) => PartialPolicy::Dropped,
        (None, false) => PartialPolicy::Kept,
        (None, true) => PartialPolicy::Resumed,
    };
    // A pipe that nobody reads would block.
    let is_fifo = |it: Metadata| it.file_type().is_fifo();
    if format.spec().needs_file && matches!(path.metadata().map(is_fifo), Ok(true)) {
        let (name, stream) = (format.name(), Destination::name_of(path));
        let cause = format!("--format {name} needs a file: {stream} is a stream");
        return Err(Error::message(Kind::Usage, cause).with_tip(format!("-o vectors.{name}")));
    }
    let destination = Destination::open(path, policy)?;
    if !destination.is_stream() {
        return Ok(destination);
    }
    let (name, ending) = (destination.name(), format.name());
    let stream = |option: &str| {
        Err(Error::message(
            Kind::Usage,
            format!("{option} needs a file: {name} is a stream"),
        )
        .with_tip(format!("-o vectors.{ending}")))
    };
    if arguments.resume {
        return stream("--resume");
    }
    if format.spec().needs_file {
        return stream(&format!("--format {ending}"));
    }
    Ok(destination)
}

/// Whether the input and the output are the same regular file.
fn same_file(input: &Path, output: &Path) -> Result<bool> {
    let input_metadata = metadata_if_exists(input)
        .with_context(|| format!("could not read `{}`", input.display()))
        .kind(Kind::Input)?;
    let output_metadata = metadata_if_exists(output)
        .with_context(|| format!("could not write `{}`", output.display()))
        .kind(Kind::Output)?;
    let identity = |there: Metadata| there.is_file().then(|| (there.dev(), there.ino()));
    let input_file = input_metadata.and_then(identity);
    Ok(input_file.is_some() && input_file == output_metadata.and_then(identity))
}
