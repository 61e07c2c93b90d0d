//! One vector a text as `[texts, hidden]` float32, the file that `numpy.load` reads and maps.
//!
//! The number of texts stands in the header and is known at the end, so the header has a fixed
//! length and is written twice.
//!
//! Source: `numpy.lib.format`, version 1.0.

use std::io::Write;

use super::bytes::write_f32;
use super::{BadRecord, Context, Format, Record, no_place};
use crate::cli::{Field, Format as Form};
use crate::error::{Classify, Error, Kind, Result};

/// Length of the whole header: a multiple of 64, as numpy aligns its data, with room for any count.
const HEADER_BYTES: usize = 128;

/// Writes the only field's vectors as they come.
pub struct Npy<'a> {
    context: Context<'a>,
    texts: u64,
}

impl<'a> Npy<'a> {
    /// A file of the only field of `context`.
    #[must_use]
    pub fn new(context: Context<'a>) -> Self {
        Self { context, texts: 0 }
    }

    /// The file's size for so many texts.
    #[must_use]
    pub fn size_bytes(texts: u64, hidden: usize) -> u64 {
        HEADER_BYTES as u64 + texts * hidden as u64 * size_of::<f32>() as u64
    }

    fn header(&self) -> Vec<u8> {
        let magic = b"\x93NUMPY\x01\x00";
        let description_bytes = HEADER_BYTES - magic.len() - size_of::<u16>();
        let description = format!(
            "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}",
            self.texts, self.context.shapes.hidden
        );
        let mut header = magic.to_vec();
        header.extend_from_slice(&(description_bytes as u16).to_le_bytes());
        header.extend_from_slice(description.as_bytes());
        header.resize(HEADER_BYTES - 1, b' ');
        header.push(b'\n');
        header
    }

    fn vector<'r>(&self, record: &'r Record) -> Result<&'r [f32]> {
        if self.context.fields == [Field::Embedding] {
            return Ok(&record.embedding);
        }
        let nothing = || Error::message(Kind::Internal, "a record without pooler_output");
        record.pooler_output.ok_or_else(nothing)
    }

    fn start(&self, to: &mut dyn Write) -> Result<()> {
        if self.texts > 0 {
            return Ok(());
        }
        to.write_all(&self.header()).kind(Kind::Output)
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
            let vector = self.vector(record)?;
            self.start(to)?;
            write_f32(vector, to).kind(Kind::Output)?;
            self.texts += 1;
        }
        Ok(())
    }

    fn finish(&mut self, to: &mut dyn Write) -> Result<()> {
        self.start(to)
    }

    fn head(&self) -> Option<Vec<u8>> {
        Some(self.header())
    }
}
