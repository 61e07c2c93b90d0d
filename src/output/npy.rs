//! One vector a text as `[texts, hidden]` float32, the file that `numpy.load` reads and maps.
//!
//! The number of texts is in the header and is known at the end: the log has the rows, and the file
//! is assembled from it.
//!
//! Source: `numpy.lib.format`, version 1.0.

use std::io::{self, Seek, SeekFrom, Write};

use super::bytes::write_f32;
use super::size::{Measured, Size};
use super::{Assembly, Context, Log, RecordOrBad, RecordWriter, without_field};
use crate::error::{Classify, Kind, Result};
use crate::record::{Dimensions, Field, Totals, Value};

/// The size of the whole header: a multiple of 64, as numpy aligns its data, with room for any count.
const HEADER_BYTES: usize = 128;

/// Writes the vectors of the only field when they come.
pub(super) struct Npy<'a>(Context<'a>);

impl<'a> Npy<'a> {
    /// A file of the only field of `context`.
    #[must_use]
    pub(super) fn new(context: Context<'a>) -> Self {
        Self(context)
    }
}

/// The size of the file: exact. Of several fields, the file would hold the last vector.
pub(super) fn size(context: &Context, measured: &Measured) -> Size {
    let mut fields = context.fields.iter().copied().rev();
    let field = fields.find(|field| field.is_vector());
    let floats = |field| context.dimensions.floats(field, &measured.totals);
    let data = field.map_or(0, floats) * size_of::<f32>() as u64;
    Size {
        bytes: HEADER_BYTES as u64 + data,
        remark: format!("{} only", field.map_or("the header", Field::name)),
    }
}

/// Bytes of the rows of so many texts.
fn row_bytes(fields: &[Field], dimensions: &Dimensions) -> u64 {
    let row = Totals::of_text(0, 0);
    let floats = fields.iter().map(|&field| dimensions.floats(field, &row));
    floats.sum::<u64>() * size_of::<f32>() as u64
}

fn header(texts: u64, row_bytes: u64) -> Vec<u8> {
    let magic = b"\x93NUMPY\x01\x00";
    let description_bytes = HEADER_BYTES - magic.len() - size_of::<u16>();
    let columns = row_bytes / size_of::<f32>() as u64;
    let description =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({texts}, {columns}), }}");
    let mut header = magic.to_vec();
    header.extend_from_slice(&(description_bytes as u16).to_le_bytes());
    header.extend_from_slice(description.as_bytes());
    header.resize(HEADER_BYTES - 1, b' ');
    header.push(b'\n');
    header
}

impl RecordWriter for Npy<'_> {
    fn write(&mut self, records: &[RecordOrBad], to: &mut dyn Write) -> Result<()> {
        for record in records.iter().flatten() {
            for &field in self.0.fields {
                match record.value(field, self.0.tokenizer) {
                    Some(Value::Floats(vector, _)) => write_f32(vector, to).kind(Kind::Output)?,
                    _ => return Err(without_field(field)),
                }
            }
        }
        Ok(())
    }

    fn assembly(&self) -> Option<&dyn Assembly> {
        Some(self)
    }
}

impl Assembly for Npy<'_> {
    fn assemble(&self, log: &mut Log, to: &mut dyn Write) -> Result<()> {
        let row_bytes = row_bytes(self.0.fields, &self.0.dimensions);
        let mut copy = || {
            let log_bytes = log.seek(SeekFrom::End(0))?;
            log.rewind()?;
            to.write_all(&header(log_bytes / row_bytes, row_bytes))?;
            io::copy(log, to).map(|_| ())
        };
        copy().kind(Kind::Output)
    }
}
