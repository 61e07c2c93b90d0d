//! Lines of one source as texts, in bounded memory.

use std::io::{self, BufRead, Read};
use std::sync::Arc;

use super::columns::{ColumnNames, listed};
use super::source::TextReader;
use super::text::MAX_TEXT_BYTES;
use super::{BadText, InputItem, Text, TextOrBad, first_bytes, jsonl, until_error, with_place};
use crate::error::{Error, Kind, Result};
use crate::notes;

/// The longest line or row: a text of 16 MiB has 48 MiB of escapes in JSON.
pub(super) const MAX_LINE_BYTES: u64 = 64 << 20;

/// After this many bytes without a line end, the run gives up: `/dev/zero` has none.
pub(super) const MAX_SKIPPED_BYTES: u64 = 1 << 30;

#[derive(Debug, Clone)]
pub(super) enum LineFormat {
    /// A text, which splits at the first separator into two segments.
    Text {
        pair_separator: Option<String>,
        /// Whether the user gave no format.
        is_guess: bool,
    },
    Json(Arc<ColumnNames>),
}

/// The lines of one source; a bad line does not affect the others.
pub(super) struct TextLines {
    source: TextReader,
    format: LineFormat,
    /// The byte that a line ends with.
    end: u8,
    /// Number of the line read last, from 1.
    line_number: u64,
    /// Keys that the user named and that no line has had yet.
    unseen_keys: Vec<String>,
    /// Whether a line was a JSON object.
    has_object: bool,
    /// The first text, if it was read ahead.
    first: Option<InputItem>,
}

impl LineFormat {
    /// A longer line is not read: a text has at most 16 MiB and the two bytes of its line end, a
    /// JSON object and a pair may have more.
    fn max_bytes(&self) -> u64 {
        match self {
            Self::Text {
                pair_separator: None,
                ..
            } => MAX_TEXT_BYTES + 2,
            Self::Text { .. } | Self::Json(_) => MAX_LINE_BYTES,
        }
    }
}

impl TextLines {
    pub(super) fn new(source: TextReader, format: LineFormat, end: u8) -> Self {
        let unseen_keys = match &format {
            LineFormat::Json(columns) => columns.optional(),
            LineFormat::Text { .. } => Vec::new(),
        };
        Self {
            source,
            format,
            end,
            line_number: 0,
            unseen_keys,
            has_object: false,
            first: None,
        }
    }

    /// Reads the first text ahead, which may show that the input is not what it is taken for.
    pub(super) fn read_first(&mut self) -> Result<()> {
        self.first = self.next_line()?;
        Ok(())
    }

    pub(super) fn items(mut self) -> impl Iterator<Item = Result<InputItem>> {
        until_error(move || match self.first.take() {
            None => self.next_line(),
            first => Ok(first),
        })
    }

    fn next_line(&mut self) -> Result<Option<InputItem>> {
        if self.line_number == 0 {
            self.note_guess()?;
        }
        let (mut size_bytes, mut skipped) = (0, 0);
        loop {
            let Some((line, read)) = self.read_line()? else {
                self.warn_of_unseen_keys();
                return Ok(None);
            };
            size_bytes += read;
            let is_blank = |line: &Vec<u8>| line.iter().all(u8::is_ascii_whitespace);
            let is_json = matches!(self.format, LineFormat::Json(_));
            if is_json && line.as_ref().is_ok_and(is_blank) {
                skipped += 1;
                continue;
            }
            let text = line.and_then(|bytes| utf_8(bytes).map_err(BadText::because));
            if let Ok(line) = &text {
                self.refuse_other_keys(line)?;
            }
            let text = text.and_then(|line| self.parse(line));
            return Ok(Some(InputItem {
                text: self.located(text),
                size_bytes,
                skipped,
            }));
        }
    }

    /// The next line without its end, and its bytes; `None` at the end of the source.
    fn read_line(&mut self) -> Result<Option<(TextOrBad<Vec<u8>>, u64)>> {
        let end = self.end;
        let mut bytes = Vec::new();
        self.line_number += 1;
        let max_bytes = self.format.max_bytes();
        let mut limited = self.source.reader.by_ref().take(max_bytes);
        let read = limited.read_until(end, &mut bytes);
        let read = read.map_err(|cause| self.source.failed(cause))? as u64;
        if read == 0 {
            return Ok(None);
        }
        if bytes.last() == Some(&end) {
            bytes.pop();
        } else if read == max_bytes {
            let size_bytes = read + self.skip_line()?;
            let limit = if max_bytes < MAX_LINE_BYTES {
                "16 MiB"
            } else {
                "64 MiB"
            };
            let line = Err(BadText::because(format!("it is longer than {limit}")));
            return Ok(Some((line, size_bytes)));
        }
        if end == b'\n' && bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        Ok(Some((Ok(bytes), read)))
    }

    /// # Errors
    /// [`Kind::Usage`] if the first object has no key of a text: others will not have it either.
    fn refuse_other_keys(&mut self, line: &str) -> Result<()> {
        let LineFormat::Json(columns) = &self.format else {
            return Ok(());
        };
        if self.has_object || !jsonl::is_object(line) {
            return Ok(());
        }
        self.has_object = true;
        let Some(keys) = jsonl::keys_without_text(line, columns) else {
            return Ok(());
        };
        let (number, name) = (self.line_number, self.source.name());
        let (key, keys) = (columns.text(), listed(&keys));
        let message = format!("line {number} of `{name}` has no key `{key}`: its keys are {keys}");
        let error = Error::message(Kind::Usage, message);
        Err(error.with_tip("name the key with --text-column; `a.b` is the key b within a"))
    }

    /// A key that no line has is probably mistyped.
    fn warn_of_unseen_keys(&self) {
        for key in self.unseen_keys.iter().filter(|_| self.line_number > 1) {
            let name = self.source.name();
            notes::warning(&format!("no line of `{name}` has the key `{key}`"));
        }
    }

    /// Notes if the source looks like something other than lines of text.
    fn note_guess(&mut self) -> Result<()> {
        let LineFormat::Text { is_guess: true, .. } = self.format else {
            return Ok(());
        };
        let name = Arc::clone(self.source.name());
        let head = self.source.head()?;
        if first_bytes::is_json_object(head) {
            notes::note(&format!(
                "`{name}` looks like JSON lines, but each line is taken as a text: \
                 --input-format jsonl reads JSON"
            ));
        }
        if first_bytes::has_mac_line_ends(head) {
            notes::note(&format!(
                "`{name}` seems to end its lines with CR alone, but a line ends at LF only: \
                 tr '\\r' '\\n' fixes that"
            ));
        }
        Ok(())
    }

    fn parse(&mut self, line: String) -> TextOrBad<Text> {
        match &self.format {
            LineFormat::Text { pair_separator, .. } => {
                Ok(Text::split(line, pair_separator.as_deref()))
            }
            LineFormat::Json(columns) => jsonl::parse(&line, columns, &mut self.unseen_keys),
        }
    }

    /// Adds the place of the line that was read last.
    fn located(&self, text: TextOrBad<Text>) -> TextOrBad<Text> {
        let (line, file) = (self.line_number, &self.source.file);
        let name = format_args!("line {line} of `{}`", file.name);
        with_place(text, name, file.name_in_records.clone(), Some(line))
    }

    /// Skips to the next line end and returns the number of bytes.
    fn skip_line(&mut self) -> Result<u64> {
        let skipped = skip_until(&mut self.source.reader, self.end, MAX_SKIPPED_BYTES)
            .map_err(|cause| self.source.failed(cause))?;
        if let Some(skipped) = skipped {
            return Ok(skipped);
        }
        let (line, name) = (self.line_number, self.source.name());
        Err(Error::message(Kind::Input, "no line end within 1 GiB")
            .context(format!("could not read line {line} of `{name}`")))
    }
}

/// `bytes` as text, or why they are not text.
pub(super) fn utf_8(bytes: Vec<u8>) -> std::result::Result<String, String> {
    String::from_utf8(bytes).map_err(|error| {
        let byte = error.utf8_error().valid_up_to() + 1;
        format!("it is not UTF-8 at byte {byte}")
    })
}

/// Skips to `end` or the end of the source; returns the number of bytes, `None` if over `limit`.
fn skip_until(reader: &mut impl BufRead, end: u8, limit: u64) -> io::Result<Option<u64>> {
    let mut skipped = 0;
    while skipped < limit {
        let buffer = reader.fill_buf()?;
        let end = buffer.iter().position(|&byte| byte == end);
        let used = end.map_or(buffer.len(), |position| position + 1);
        reader.consume(used);
        skipped += used as u64;
        if end.is_some() || used == 0 {
            return Ok(Some(skipped));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::super::Segment;
    use super::*;
    use std::io::{BufReader, Cursor};

    const TEXT: LineFormat = LineFormat::Text {
        pair_separator: None,
        is_guess: false,
    };

    fn lines(bytes: &[u8]) -> Vec<TextOrBad<Text>> {
        let source = TextReader::new("x", Cursor::new(bytes.to_vec()));
        TextLines::new(source, TEXT, b'\n')
            .items()
            .map(|line| line.expect("a cursor can be read").text)
            .collect()
    }

    fn at_line(line: u64, text: &str) -> Text {
        let mut text = Text::new(text.to_owned());
        text.place.line = Some(line);
        text
    }

    fn texts(bytes: &[u8]) -> Vec<String> {
        let text = |line: TextOrBad<Text>| match line.map(|text| text.first) {
            Ok(Segment::Text(text)) => text,
            other => panic!("the line is not a text: {other:?}"),
        };
        lines(bytes).into_iter().map(text).collect()
    }

    #[test]
    fn a_line_ends_at_lf_only_and_loses_one_cr() {
        assert_eq!(
            texts(b"a\r\nb\r\r\nc\rd\n\ne"),
            ["a", "b\r", "c\rd", "", "e"]
        );
        assert_eq!(texts(b"a\n\n"), ["a", ""]);
        assert_eq!(
            texts(b"\xe2\x80\xa8\x0b\x0c\x1c\n"),
            ["\u{2028}\u{b}\u{c}\u{1c}"]
        );
        assert!(texts(b"").is_empty());
    }

    #[test]
    fn a_bad_line_names_its_place_and_shifts_no_other() {
        let lines = lines(b"good\nb\xffd\nalso good\n");
        let bad = lines[1].as_ref().expect_err("the byte 0xff is not UTF-8");
        assert_eq!(
            bad.message,
            "could not read line 2 of `x`: it is not UTF-8 at byte 2"
        );
        assert_eq!(bad.place.line, Some(2));
        assert_eq!(lines[2], Ok(at_line(3, "also good")));
    }

    #[test]
    fn a_line_over_the_cap_is_bad_and_the_next_is_read() {
        let mut bytes = vec![b'a'; MAX_TEXT_BYTES as usize + 5];
        bytes.extend_from_slice(b"\nnext");
        let lines = lines(&bytes);
        assert!(lines[0].is_err());
        assert_eq!(lines[1], Ok(at_line(2, "next")));
    }

    #[test]
    fn an_endless_line_is_given_up() {
        let source = TextReader::new("zeros", BufReader::new(io::repeat(0)));
        let mut lines = TextLines::new(source, TEXT, b'\n').items();
        let error = lines
            .next()
            .expect("a first line")
            .expect_err("it has no end");
        assert!(error.to_string().ends_with("no line end within 1 GiB"));
        assert!(lines.next().is_none());
    }
}
