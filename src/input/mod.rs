//! Texts from arguments, files and standard input, in order.
//!
//! A bad line, row or document becomes a [`BadText`] and does not shift the others. A line ends at
//! LF only and loses one trailing CR, as in `extract_features.py` and every line tool; a blank line
//! is a text too, but not in JSON lines.

mod columns;
mod dialect;
mod documents;
mod first_bytes;
mod format;
mod id;
mod jsonl;
mod lines;
mod options;
#[cfg(feature = "parquet")]
mod parquet;
mod rows;
mod selection;
mod source;
mod table;
mod text;

use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{Error, Kind, Result};
pub(crate) use columns::ColumnNames;
pub(crate) use dialect::Quote;
pub(crate) use format::InputFormat;
pub(crate) use id::Id;
use lines::{LineFormat, TextLines};
pub(crate) use options::InputOptions;
#[cfg(feature = "parquet")]
use parquet::ParquetRows;
use selection::TextSelection;
use source::{InputFile, TextReader, could_not_read};
use table::Table;
use text::with_place;
pub(crate) use text::{BadText, Place, TextOrBad};
pub use text::{Segment, Text};

#[derive(Debug)]
pub(crate) struct InputItem {
    pub text: TextOrBad<Text>,
    /// Bytes that it takes up in the input.
    pub size_bytes: u64,
    /// Blank lines before it, which have a place but no record.
    pub skipped: u64,
}

impl InputItem {
    fn index(&self) -> u64 {
        match &self.text {
            Ok(text) => text.place.index,
            Err(bad) => bad.place.index,
        }
    }

    fn set_index(&mut self, index: u64) {
        match &mut self.text {
            Ok(text) => text.place.index = index,
            Err(bad) => bad.place.index = index,
        }
    }
}

/// Texts in input order. An error ends the run: the source itself can no longer be read.
pub(crate) type Items = Box<dyn Iterator<Item = Result<InputItem>> + Send>;

pub(crate) struct Texts {
    pub items: Items,
    /// The sum over all texts, if it is known before they are read.
    pub size_bytes: Option<u64>,
}

impl Texts {
    fn select(self, selection: TextSelection) -> Self {
        Self {
            items: Box::new(selection.apply(self.items)),
            size_bytes: self.size_bytes.filter(|_| selection.is_all()),
        }
    }
}

/// Calls `next` until the source has ended or can no longer be read.
fn until_error(
    mut next: impl FnMut() -> Result<Option<InputItem>>,
) -> impl Iterator<Item = Result<InputItem>> {
    let mut finished = false;
    std::iter::from_fn(move || {
        if finished {
            return None;
        }
        let item = next().transpose();
        finished = !matches!(item, Some(Ok(_)));
        item
    })
}

pub(crate) fn from_arguments(texts: Vec<String>, options: InputOptions) -> Texts {
    let size_bytes = Some(texts.iter().map(|text| text.len() as u64).sum());
    let selection = options.selection;
    let item = move |text: String| {
        let size_bytes = text.len() as u64;
        let mut text = Text::split(text, options.pair_separator.as_deref());
        text.pair = options.pair.clone().or(text.pair);
        let text = Ok(text);
        Ok(InputItem {
            text,
            size_bytes,
            skipped: 0,
        })
    };
    let items = Box::new(texts.into_iter().map(item));
    Texts { items, size_bytes }.select(selection)
}

/// Texts from `files` in order; `-` is standard input.
///
/// Every regular file is checked here, so that a missing one, or one that is not text, is refused
/// before the model is loaded. Each is opened again later: a process cannot keep thousands of files
/// open.
///
/// # Errors
/// [`Kind::Input`] if a file cannot be read or holds no text; [`Kind::Usage`] if a table lacks a
/// column that is named.
pub(crate) fn from_files(files: &[PathBuf], options: InputOptions) -> Result<Texts> {
    let mut sources = Vec::new();
    let selection = options.selection;
    let options = Arc::new(options);
    for path in files {
        let format = options.format_of(path);
        let (file, metadata) = InputFile::find(path, files.len() == 1)?;
        let is_directory = metadata.is_some_and(|metadata| metadata.is_dir());
        match (is_directory, format) {
            (false, _) => sources.push((file, format)),
            (true, InputFormat::Documents) => {
                for path in documents::below(path)? {
                    let (file, _) = InputFile::find(&path, false)?;
                    sources.push((file, format));
                }
            }
            (true, _) => return Err(is_a_directory(&file)),
        }
    }
    for (file, format) in &sources {
        if file.size_bytes.is_some() {
            drop(open(file, *format, &options)?);
        }
    }
    let size_bytes = |(file, format): &(InputFile, InputFormat)| file.text_bytes(*format);
    let texts = Texts {
        size_bytes: sources.iter().map(size_bytes).sum(),
        items: Box::new(sources.into_iter().flat_map(move |(file, format)| {
            open(&file, format, &options)
                .unwrap_or_else(|error| Box::new(std::iter::once(Err(error))))
        })),
    };
    Ok(texts.select(selection))
}

fn is_a_directory(file: &InputFile) -> Error {
    Error::message(Kind::Input, "it is a directory")
        .context(format!("could not read `{}`", file.name))
        .with_tip(
            "--input-format documents takes each file in it as a text; \
             --model takes a model's directory",
        )
}

fn open(file: &InputFile, format: InputFormat, options: &Arc<InputOptions>) -> Result<Items> {
    let columns = || Arc::new(options.columns.clone());
    match format {
        InputFormat::Csv | InputFormat::Tsv => {
            let table = Table::new(file.text(false)?, format, options)?;
            Ok(Box::new(table.items()))
        }
        InputFormat::Parquet => open_parquet(file, columns()),
        InputFormat::Documents => {
            // A document that cannot be read becomes an error record; a missing file ends the run.
            if file.size_bytes.is_some() {
                drop(file.open()?);
            }
            let file = file.clone();
            Ok(Box::new(std::iter::once_with(move || {
                Ok(documents::read(&file))
            })))
        }
        InputFormat::Jsonl => {
            let mut source = file.text(false)?;
            refuse_json_array(&mut source)?;
            let mut lines = TextLines::new(source, LineFormat::Json(columns()), b'\n');
            // A key that is missing is told before the model is loaded.
            lines.read_first()?;
            Ok(Box::new(lines.items()))
        }
        InputFormat::Lines => {
            let mut source = file.text(options.null)?;
            let is_guess = options.input_format.is_none() && !options.null;
            if is_guess {
                refuse_json_array(&mut source)?;
            }
            let format = LineFormat::Text {
                pair_separator: options.pair_separator.clone(),
                is_guess,
            };
            let end = if options.null { 0 } else { b'\n' };
            Ok(Box::new(TextLines::new(source, format, end).items()))
        }
    }
}

#[cfg(feature = "parquet")]
fn open_parquet(file: &InputFile, columns: Arc<ColumnNames>) -> Result<Items> {
    let rows = ParquetRows::open(file.clone(), columns)?;
    Ok(Box::new(rows.items()))
}

#[cfg(not(feature = "parquet"))]
fn open_parquet(file: &InputFile, _columns: Arc<ColumnNames>) -> Result<Items> {
    Err(Error::message(Kind::Usage, "this build reads no parquet")
        .context(could_not_read(&file.name))
        .with_tip("cargo build --release --features parquet"))
}

fn refuse_json_array(source: &mut TextReader) -> Result<()> {
    let Some(command) = first_bytes::json_array(source.head()?) else {
        return Ok(());
    };
    Err(
        Error::message(Kind::Input, "it is a JSON array, not lines of text or JSON")
            .context(could_not_read(source.name()))
            .with_tip(format!(
                "{command} makes JSON lines of it for --input-format jsonl; \
                 --input-format lines takes its lines as texts"
            )),
    )
}
