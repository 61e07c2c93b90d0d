//! One vector a text as `[texts, hidden]` float32, the file that `numpy.load` reads and maps.
//!
//! The number of texts stands in the header and is known at the end: the log has the rows, and the
//! file is assembled from it.
//!
//! Source: `numpy.lib.format`, version 1.0.

use std::io::{self, Seek, SeekFrom, Write};

use super::OutputFormat as Form;
use super::bytes::write_f32;
use super::{Assembly, Context, Format, Log, no_place};
use crate::error::{Classify, Error, Kind, Result};
use crate::record::Field;
use crate::record::{BadRecord, Record};

/// Length of the whole header: a multiple of 64, as numpy aligns its data, with room for any count.
const HEADER_BYTES: usize = 128;

/// Writes the only field's vectors as they come.
pub struct Npy<'a>(Context<'a>);

impl<'a> Npy<'a> {
    /// A file of the only field of `context`.
    #[must_use]
    pub fn new(context: Context<'a>) -> Self {
        Self(context)
    }

    /// The file's size for so many texts.
    #[must_use]
    pub fn size_bytes(texts: u64, hidden: usize) -> u64 {
        HEADER_BYTES as u64 + texts * hidden as u64 * size_of::<f32>() as u64
    }

    fn header(&self, texts: u64) -> Vec<u8> {
        let magic = b"\x93NUMPY\x01\x00";
        let description_bytes = HEADER_BYTES - magic.len() - size_of::<u16>();
        let description = format!(
            "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}",
            texts, self.0.shapes.hidden
        );
        let mut header = magic.to_vec();
        header.extend_from_slice(&(description_bytes as u16).to_le_bytes());
        header.extend_from_slice(description.as_bytes());
        header.resize(HEADER_BYTES - 1, b' ');
        header.push(b'\n');
        header
    }

    fn vector<'r>(&self, record: &'r Record) -> Result<&'r [f32]> {
        if self.0.fields == [Field::Embedding] {
            return Ok(&record.embedding);
        }
        let nothing = || Error::message(Kind::Internal, "a record without pooler_output");
        record.pooler_output.ok_or_else(nothing)
    }
}

impl Format for Npy<'_> {
    fn write(
        &mut self,
        records: &[std::result::Result<Record, BadRecord>],
        to: &mut dyn Write,
    ) -> Result<()> {
        for record in records {
            let record = record.as_ref().map_err(|bad| no_place(Form::Npy, bad))?;
            write_f32(self.vector(record)?, to).kind(Kind::Output)?;
        }
        Ok(())
    }

    fn assembly(&self) -> Option<&dyn Assembly> {
        Some(self)
    }
}

impl Assembly for Npy<'_> {
    fn assemble(&self, log: &mut Log, to: &mut dyn Write) -> Result<()> {
        let row_bytes = (self.0.shapes.hidden * size_of::<f32>()) as u64;
        let mut copy = || {
            let log_bytes = log.seek(SeekFrom::End(0))?;
            log.rewind()?;
            to.write_all(&self.header(log_bytes / row_bytes))?;
            io::copy(log, to).map(|_| ())
        };
        copy().kind(Kind::Output)
    }
}
