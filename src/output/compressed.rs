//! gzip and Zstandard around another format, in members, so that an interrupted run can continue.
//!
//! A member is a complete compressed file; both formats allow several in a row, and every reader
//! treats them as one file. A member holds a fixed number of records, so its bytes depend on its
//! records alone, and a resumed run writes the same bytes as an uninterrupted one.

use std::io::{self, Write};
use std::path::Path;

use flate2::write::GzEncoder;

use super::{Assembly, RecordOrBad, RecordWriter};
use crate::error::{Classify, Kind, Result};

/// Records in a member. A resumed run computes at most this many again, and a member of the
/// smallest records, embeddings of 384 values, still has 290 KB of text to compress.
const MEMBER_RECORDS: u64 = 64;

/// How the bytes of a file are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    /// gzip, RFC 1952.
    Gzip,
    /// Zstandard, RFC 8878.
    Zstd,
}

impl Compression {
    pub(crate) const ALL: [Self; 2] = [Self::Gzip, Self::Zstd];

    /// The file name ending that selects it.
    pub(crate) fn ending(self) -> &'static str {
        match self {
            Self::Gzip => "gz",
            Self::Zstd => "zst",
        }
    }

    /// The compression that the ending of `path` selects.
    pub(crate) fn by_ending(path: &Path) -> Option<Self> {
        let ending = path.extension()?;
        Self::ALL.into_iter().find(|how| ending == how.ending())
    }

    fn member(self) -> io::Result<Member> {
        Ok(match self {
            Self::Gzip => Member::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::default())),
            Self::Zstd => Member::Zstd(zstd::Encoder::new(Vec::new(), 0)?),
        })
    }
}

/// An unfinished member; its bytes wait in memory until the destination takes them.
enum Member {
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(zstd::Encoder<'static, Vec<u8>>),
}

impl Member {
    fn encoder(&mut self) -> &mut dyn Write {
        match self {
            Self::Gzip(encoder) => encoder,
            Self::Zstd(encoder) => encoder,
        }
    }

    fn take_bytes(&mut self) -> Vec<u8> {
        std::mem::take(match self {
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        })
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

/// Compresses what another writer writes.
pub(super) struct Compressed<'a> {
    writer: Box<dyn RecordWriter + 'a>,
    compression: Compression,
    member: Option<Member>,
    records: u64,
}

impl<'a> Compressed<'a> {
    /// For an output that already has `records`.
    pub(super) fn new(
        writer: Box<dyn RecordWriter + 'a>,
        compression: Compression,
        records: u64,
    ) -> Self {
        Self {
            writer,
            compression,
            member: None,
            records,
        }
    }

    /// Writes records of a single member.
    fn write_part(&mut self, records: &[RecordOrBad], to: &mut dyn Write) -> Result<()> {
        let member = self.member.take();
        let member = member.map_or_else(|| self.compression.member(), Ok);
        let mut member = member.kind(Kind::Output)?;
        self.writer.write(records, member.encoder())?;
        self.records += records.len() as u64;
        let bytes = if self.records.is_multiple_of(MEMBER_RECORDS) {
            member.finish().kind(Kind::Output)?
        } else {
            let bytes = member.take_bytes();
            self.member = Some(member);
            bytes
        };
        to.write_all(&bytes).kind(Kind::Output)
    }
}

impl RecordWriter for Compressed<'_> {
    fn write(&mut self, mut records: &[RecordOrBad], to: &mut dyn Write) -> Result<()> {
        while !records.is_empty() {
            let room = MEMBER_RECORDS - self.records % MEMBER_RECORDS;
            let (part, rest) = records.split_at(records.len().min(room as usize));
            self.write_part(part, to)?;
            records = rest;
        }
        Ok(())
    }

    /// A file without records is one empty member.
    fn finish(&mut self, to: &mut dyn Write) -> Result<()> {
        if self.records == 0 {
            self.member = Some(self.compression.member().kind(Kind::Output)?);
        }
        let Some(mut member) = self.member.take() else {
            return Ok(());
        };
        self.writer.finish(member.encoder())?;
        let written = member.finish().and_then(|bytes| to.write_all(&bytes));
        written.kind(Kind::Output)
    }

    fn member_records(&self) -> Option<u64> {
        Some(MEMBER_RECORDS)
    }

    fn assembly(&self) -> Option<&dyn Assembly> {
        None
    }
}
