//! One vector per text as `[texts, hidden]` float32, the file that `numpy.load` reads and maps.
//!
//! The header has the number of texts, which is known only at the end: the log has the rows, and
//! the file is assembled from it.
//!
//! Source: `numpy.lib.format`, version 1.0.

use std::io::{self, Seek, SeekFrom, Write};

use super::size::{Measured, Size, floats};
use super::{Assembly, Context, Float, Log, RecordWriter, without_field};
use crate::error::{Classify, Error, Kind, Result};
use crate::record::{Field, RecordOrBad, Totals, Value};

/// The size of the whole header: a multiple of 64, as numpy aligns its data, with room for any
/// count.
const HEADER_BYTES: usize = 128;

/// Writes the vectors of the only field to the log.
pub(super) struct Npy<'a>(pub(super) Context<'a>);

pub(super) fn size(context: &Context, measured: &Measured) -> Size {
    let data = floats(context, measured) * context.float.size_bytes();
    Size::Exact(HEADER_BYTES as u64 + data)
}

fn columns(context: &Context) -> u64 {
    let text = Totals::of_text(0, 0);
    let fields = context.fields.iter();
    let floats = |&field: &Field| context.dimensions.floats(field, &text);
    fields.map(floats).sum()
}

fn header(texts: u64, columns: u64, float: Float) -> Vec<u8> {
    let magic = b"\x93NUMPY\x01\x00";
    let description_bytes = HEADER_BYTES - magic.len() - size_of::<u16>();
    let bytes = float.size_bytes();
    let description = format!(
        "{{'descr': '<f{bytes}', 'fortran_order': False, 'shape': ({texts}, {columns}), }}"
    );
    let mut header = magic.to_vec();
    header.extend_from_slice(&(description_bytes as u16).to_le_bytes());
    header.extend_from_slice(description.as_bytes());
    header.resize(HEADER_BYTES - 1, b' ');
    header.push(b'\n');
    header
}

/// Refuses an id: it would be lost without the user having asked for that.
fn no_place_for_id(index: u64) -> Error {
    Error::message(Kind::Input, "npy has no place for it")
        .context(format!("text {index} has an id"))
        .with_tip("use --format parquet, or leave the ids out with --fields embedding")
}

impl RecordWriter for Npy<'_> {
    fn write(&mut self, records: &[RecordOrBad], to: &mut dyn Write) -> Result<()> {
        for record in records.iter().flatten() {
            for &field in self.0.fields {
                match record.value(field, self.0.tokenizer) {
                    Some(Value::Floats(vector, _)) => {
                        self.0.float.write(vector, to).kind(Kind::Output)?;
                    }
                    Some(Value::Id(_)) => {
                        return Err(no_place_for_id(record.text.text.place.index));
                    }
                    None if field == Field::Id => {}
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
        let (columns, float) = (columns(&self.0), self.0.float);
        let row_bytes = columns * float.size_bytes();
        let mut copy = || {
            let log_bytes = log.seek(SeekFrom::End(0))?;
            log.rewind()?;
            to.write_all(&header(log_bytes / row_bytes, columns, float))?;
            io::copy(log, to).map(|_| ())
        };
        copy().kind(Kind::Output)
    }
}
