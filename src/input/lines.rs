//! Lines of one source as texts, in bounded memory.

use std::io::{self, BufRead, Read};
use std::sync::Arc;

use anyhow::Context;

use super::{BadText, InputItem, LineFormat, Place, Source, Text, TextOrBad};
use crate::error::{Classify, Error, Kind, Result};

/// A longer line is not a text but a file of another kind; BERT takes 512 tokens of it at most.
const MAX_LINE_BYTES: u64 = 16 << 20;

/// After this many bytes without a line end the source is given up (`/dev/zero` has none).
const MAX_SKIPPED_BYTES: u64 = 1 << 30;

/// The lines of one source, each good or bad by itself.
pub struct Lines {
    source: Source,
    format: LineFormat,
    /// Number of the line read last, from 1.
    line_number: u64,
    finished: bool,
}

impl Lines {
    /// The lines of `source`, read as `format`.
    #[must_use]
    pub fn new(source: Source, format: LineFormat) -> Self {
        Self {
            source,
            format,
            line_number: 0,
            finished: false,
        }
    }

    /// The bytes of the source, if known.
    #[must_use]
    pub fn size_bytes(&self) -> Option<u64> {
        self.source.size_bytes
    }

    fn next_line(&mut self) -> Result<Option<InputItem>> {
        let mut bytes = Vec::new();
        self.line_number += 1;
        let read = self
            .source
            .reader
            .by_ref()
            .take(MAX_LINE_BYTES + 1)
            .read_until(b'\n', &mut bytes)
            .with_context(|| format!("could not read `{}`", self.source.name))
            .kind(Kind::Input)? as u64;
        if read == 0 {
            return Ok(None);
        }
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        } else if bytes.len() as u64 > MAX_LINE_BYTES {
            let size_bytes = read + self.skip_line()?;
            let text = Err(self.bad(BadText::because("it is longer than 16 MiB")));
            return Ok(Some(InputItem { text, size_bytes }));
        }
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        Ok(Some(InputItem {
            text: self.text(bytes),
            size_bytes: read,
        }))
    }

    fn text(&self, bytes: Vec<u8>) -> TextOrBad<Text> {
        let text = String::from_utf8(bytes).map_err(|error| {
            let byte = error.utf8_error().valid_up_to() + 1;
            BadText::because(format!("it is not UTF-8 at byte {byte}"))
        });
        text.and_then(|line| self.format.parse(line))
            .map(|text| Text {
                place: self.place(),
                ..text
            })
            .map_err(|bad| self.bad(bad))
    }

    fn place(&self) -> Place {
        Place {
            file: (!self.source.is_only).then(|| Arc::clone(&self.source.name)),
            line: Some(self.line_number),
        }
    }

    /// What is wrong with the line read last, with its place.
    fn bad(&self, bad: BadText) -> BadText {
        let (line, name) = (self.line_number, &self.source.name);
        BadText {
            message: format!("line {line} of `{name}` is no text: {}", bad.message),
            id: bad.id,
            place: self.place(),
        }
    }

    /// Reads on to the next line end without keeping anything; how many bytes that were.
    fn skip_line(&mut self) -> Result<u64> {
        let skipped = skip_until_newline(&mut self.source.reader, MAX_SKIPPED_BYTES)
            .with_context(|| format!("could not read `{}`", self.source.name))
            .kind(Kind::Input)?;
        if let Some(skipped) = skipped {
            return Ok(skipped);
        }
        let what = format!(
            "could not read line {} of `{}`",
            self.line_number, self.source.name
        );
        Err(Error::message(Kind::Input, "no line end within 1 GiB").context(what))
    }
}

/// The bytes up to a line end or the end of the source; `None` if none came within `limit`.
fn skip_until_newline(reader: &mut impl BufRead, limit: u64) -> io::Result<Option<u64>> {
    let mut skipped = 0;
    while skipped < limit {
        let buffer = match reader.fill_buf() {
            Ok(buffer) => buffer,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let newline = buffer.iter().position(|&byte| byte == b'\n');
        let used = newline.map_or(buffer.len(), |position| position + 1);
        reader.consume(used);
        skipped += used as u64;
        if newline.is_some() || used == 0 {
            return Ok(Some(skipped));
        }
    }
    Ok(None)
}

impl Iterator for Lines {
    type Item = Result<InputItem>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finished {
            return None;
        }
        let line = self.next_line().transpose();
        self.finished = !matches!(line, Some(Ok(_)));
        line
    }
}

#[cfg(test)]
mod tests {
    use super::super::Segment;
    use super::*;
    use std::io::{BufReader, Cursor};

    const TEXT: LineFormat = LineFormat::Text {
        pair_separator: None,
    };

    fn lines(bytes: &[u8]) -> Vec<TextOrBad<Text>> {
        let source = Source::new("x", Cursor::new(bytes.to_vec()));
        Lines::new(source, TEXT)
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
            other => panic!("the line is no text: {other:?}"),
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
            "line 2 of `x` is no text: it is not UTF-8 at byte 2"
        );
        assert_eq!(bad.place.line, Some(2));
        assert_eq!(lines[2], Ok(at_line(3, "also good")));
    }

    #[test]
    fn a_line_over_the_cap_is_bad_and_the_next_is_read() {
        let mut bytes = vec![b'a'; MAX_LINE_BYTES as usize + 5];
        bytes.extend_from_slice(b"\nnext");
        let lines = lines(&bytes);
        assert!(lines[0].is_err());
        assert_eq!(lines[1], Ok(at_line(2, "next")));
    }

    #[test]
    fn an_endless_line_is_given_up() {
        let source = Source::new("zeros", BufReader::new(io::repeat(0)));
        let mut lines = Lines::new(source, TEXT);
        let error = lines
            .next()
            .expect("a first line")
            .expect_err("it has no end");
        assert!(error.to_string().ends_with("no line end within 1 GiB"));
        assert!(lines.next().is_none());
    }
}
