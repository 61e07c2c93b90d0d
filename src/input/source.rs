//! A file or standard input as a stream of text: decompressed, checked by its first bytes, without
//! its byte order mark.

use std::fs::{self, File, Metadata};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use flate2::bufread::GzDecoder;

use super::format::is_compressed;
use super::{InputFormat, first_bytes};
use crate::error::{Classify, Error, Kind, Result, one_line};
use crate::standard_streams;

const BUFFER_BYTES: usize = 1 << 18;

/// A file of the input before it is opened.
#[derive(Debug, Clone)]
pub(super) struct InputFile {
    pub(super) path: PathBuf,
    pub(super) name: Arc<str>,
    /// Its name in records; `None` if it is the only file.
    pub(super) name_in_records: Option<Arc<str>>,
    /// Its size when the run started; `None` for a stream.
    pub(super) size_bytes: Option<u64>,
}

impl InputFile {
    /// The file at `path`, with its metadata; `-` is standard input.
    pub(super) fn find(path: &Path, is_only: bool) -> Result<(Self, Option<Metadata>)> {
        let (name, metadata): (Arc<str>, _) = if path == Path::new("-") {
            ("standard input".into(), None)
        } else {
            let name = one_line(&path.display().to_string());
            let metadata = fs::metadata(path).with_context(|| could_not_read(&name));
            (name.into(), Some(metadata.kind(Kind::Input)?))
        };
        let regular = metadata.as_ref().filter(|metadata| metadata.is_file());
        let file = Self {
            path: path.to_owned(),
            name_in_records: (!is_only).then(|| Arc::clone(&name)),
            name,
            size_bytes: regular.map(Metadata::len),
        };
        Ok((file, metadata))
    }

    /// How many bytes of text it holds, if its size shows that.
    pub(super) fn text_bytes(&self, format: InputFormat) -> Option<u64> {
        let is_known = !is_compressed(&self.path) && format != InputFormat::Parquet;
        self.size_bytes.filter(|_| is_known)
    }

    pub(super) fn is_standard_input(&self) -> bool {
        &*self.path == Path::new("-")
    }

    /// Opens the file itself, which is not standard input.
    pub(super) fn open(&self) -> Result<File> {
        File::open(&self.path).map_err(|cause| self.failed(cause))
    }

    fn failed(&self, cause: io::Error) -> Error {
        Error::new(Kind::Input, cause).context(could_not_read(&self.name))
    }

    /// The text in the file.
    ///
    /// # Errors
    /// [`Kind::Input`] if it cannot be read, or is not text.
    pub(super) fn text(&self, null_ends_texts: bool) -> Result<TextReader> {
        let reader: Box<dyn Read + Send> = if self.is_standard_input() {
            Box::new(standard_streams::input()?)
        } else {
            Box::new(ShrinkDetector {
                file: self.open()?,
                bytes_left: self.size_bytes.unwrap_or(0),
            })
        };
        TextReader {
            file: self.clone(),
            reader: buffered(RetryInterrupted(reader)),
        }
        .decompressed()?
        .checked(null_ends_texts)
    }
}

pub(super) fn could_not_read(name: &str) -> String {
    format!("could not read `{name}`")
}

/// Fails if the file ends before the size that it had when the run started.
struct ShrinkDetector {
    file: File,
    bytes_left: u64,
}

impl Read for ShrinkDetector {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        if read == 0 && self.bytes_left > 0 && !buffer.is_empty() {
            return Err(io::Error::other("it became shorter while it was read"));
        }
        self.bytes_left = self.bytes_left.saturating_sub(read as u64);
        Ok(read)
    }
}

/// Retries a read that a signal has interrupted.
struct RetryInterrupted<R>(R);

impl<R: Read> Read for RetryInterrupted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

/// The members of a gzip file, one after the other. Zeros behind a member are padding, as for gzip.
struct GzipMembers(GzDecoder<Box<dyn BufRead + Send>>);

impl Read for GzipMembers {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.0.read(buffer)?;
            if read > 0 || buffer.is_empty() || !skip_zeros(self.0.get_mut())? {
                return Ok(read);
            }
            let rest = std::mem::replace(self.0.get_mut(), Box::new(io::empty()));
            self.0 = GzDecoder::new(rest);
        }
    }
}

/// Skips zeros; returns whether anything follows them.
fn skip_zeros(reader: &mut dyn BufRead) -> io::Result<bool> {
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(false);
        }
        let zeros = buffer.iter().take_while(|byte| **byte == 0).count();
        let is_rest = zeros < buffer.len();
        reader.consume(zeros);
        if is_rest {
            return Ok(true);
        }
    }
}

fn buffered(reader: impl Read + Send + 'static) -> Box<dyn BufRead + Send> {
    Box::new(BufReader::with_capacity(BUFFER_BYTES, reader))
}

pub(super) struct TextReader {
    pub(super) file: InputFile,
    pub(super) reader: Box<dyn BufRead + Send>,
}

impl TextReader {
    #[cfg(test)]
    pub(super) fn new(name: &str, reader: impl BufRead + Send + 'static) -> Self {
        let file = InputFile {
            path: name.into(),
            name: name.into(),
            name_in_records: None,
            size_bytes: None,
        };
        let reader = Box::new(reader);
        Self { file, reader }
    }

    /// The first bytes, which stay in the reader: a line, or what fits into its buffer.
    pub(super) fn head(&mut self) -> Result<&[u8]> {
        self.fill().map_err(|cause| self.failed(cause))?;
        let Self { file, reader } = self;
        reader.fill_buf().map_err(|cause| file.failed(cause))
    }

    /// Reads until the buffer holds a line or the longest byte order mark: a pipe may give less.
    fn fill(&mut self) -> io::Result<()> {
        const MARK_BYTES: usize = 4;
        let mut head = Vec::new();
        loop {
            let buffer = self.reader.fill_buf()?;
            let size = buffer.len();
            let is_enough = size == 0 || head.len() + size >= MARK_BYTES || buffer.contains(&b'\n');
            if is_enough && head.is_empty() {
                return Ok(());
            }
            head.extend_from_slice(buffer);
            self.reader.consume(size);
            if is_enough {
                let rest = std::mem::replace(&mut self.reader, Box::new(io::empty()));
                self.reader = Box::new(io::Cursor::new(head).chain(rest));
                return Ok(());
            }
        }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.file.name
    }

    pub(super) fn failed(&self, cause: io::Error) -> Error {
        self.file.failed(cause)
    }

    /// The content of a gzip or zstd file, or the file itself.
    fn decompressed(mut self) -> Result<Self> {
        let head = self.head()?;
        let is_gzip = head.starts_with(b"\x1f\x8b");
        // A frame that is skipped may come first.
        let is_zstd = matches!(
            head,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]
        );
        self.reader = if is_gzip {
            buffered(GzipMembers(GzDecoder::new(self.reader)))
        } else if is_zstd {
            let decoder = zstd::Decoder::with_buffer(self.reader);
            buffered(decoder.map_err(|cause| self.file.failed(cause))?)
        } else {
            self.reader
        };
        Ok(self)
    }

    /// The source without its byte order mark, if it is text.
    fn checked(mut self, null_ends_texts: bool) -> Result<Self> {
        const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
        let head = self.head()?;
        if let Some(found) = first_bytes::recognize(head, null_ends_texts) {
            let error = Error::message(Kind::Input, format!("it is {}, not text", found.what));
            let name = self.name();
            let error = error.context(could_not_read(name));
            let options = if found.what.contains("Arrow") {
                " --input-format jsonl"
            } else {
                ""
            };
            return Err(match found.command {
                Some(command) if self.file.is_standard_input() => {
                    error.with_tip(format!("… | {command} | bert-embed{options} …"))
                }
                Some(command) => {
                    error.with_tip(format!("{command} {name} | bert-embed{options} …"))
                }
                None if found.what == "a parquet file" => error.with_tip("--input-format parquet"),
                None => error,
            });
        }
        if head.starts_with(BYTE_ORDER_MARK) {
            self.reader.consume(BYTE_ORDER_MARK.len());
        }
        Ok(self)
    }
}
