//! The numeric fields as tensors of one safetensors file.
//!
//! A file's header tells every tensor's size, and those are known at the end: each tensor's data
//! waits in a file of its own beside the target, without a name, so that nothing is left behind.
//! Fields of tokens are laid end to end; text i has the rows `offsets[i]..offsets[i + 1]`.

mod layout;

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek, Write};

use super::bytes::{write_f32, write_i64};
use super::record::Value;
use super::{BadRecord, Context, Destination, Format, Record, no_place};
use crate::cli::Format as Form;
use crate::error::{Classify, Error, Kind, Result};
use layout::Layout;
pub use layout::size_bytes;

const BUFFER_BYTES: usize = 1 << 18;

/// Collects each tensor's data on the disk.
pub struct Safetensors<'a> {
    context: Context<'a>,
    /// The offsets', then each field's; several where layers stay apart.
    columns: Vec<Vec<Spool>>,
    texts: u64,
    tokens: u64,
}

/// The data of one tensor, or of one layer of it.
type Spool = BufWriter<File>;

impl<'a> Safetensors<'a> {
    /// A file with the fields of `context` on its way to `destination`.
    ///
    /// # Errors
    /// [`Kind::Output`] where the destination's directory takes no file.
    pub fn new(context: Context<'a>, destination: &Destination) -> Result<Self> {
        let spool = || Ok(BufWriter::with_capacity(BUFFER_BYTES, destination.spool()?));
        let column = |&field| -> Result<Vec<Spool>> {
            (0..context.shapes.parts(field)).map(|_| spool()).collect()
        };
        let mut offsets = spool()?;
        write_i64([0], &mut offsets).kind(Kind::Output)?;
        let mut columns = vec![vec![offsets]];
        for field in context.fields {
            columns.push(column(field)?);
        }
        Ok(Self {
            context,
            columns,
            texts: 0,
            tokens: 0,
        })
    }

    fn push(&mut self, record: &Record) -> Result<()> {
        self.texts += 1;
        self.tokens += record.encoding.tokens() as u64;
        let mut columns = self.columns.iter_mut();
        if let Some([offsets]) = columns.next().map(Vec::as_mut_slice) {
            write_i64([self.tokens.cast_signed()], offsets).kind(Kind::Output)?;
        }
        for (spools, &field) in columns.zip(self.context.fields) {
            let nothing = || Error::message(Kind::Internal, "a record without one of its fields");
            let value = record.value(field, self.context).ok_or_else(nothing)?;
            put(&value, spools).kind(Kind::Output)?;
        }
        Ok(())
    }
}

/// Writes `value` to its spools: a layer to each, or all to the only one.
fn put(value: &Value, spools: &mut [Spool]) -> io::Result<()> {
    if let Value::Layers(layers, _) = value {
        let mut pairs = layers.iter().zip(spools);
        return pairs.try_for_each(|(layer, spool)| write_f32(layer, spool));
    }
    let to = &mut spools[0];
    match *value {
        Value::Number(number) => write_i64([number.cast_signed()], to),
        Value::Ids(ids) => write_i64(ids.iter().map(|&id| i64::from(id)), to),
        Value::Mask(ones, tokens) => {
            write_i64((0..tokens).map(|place| i64::from(place < ones)), to)
        }
        Value::Bits(bits) => write_i64(bits.iter().map(|&bit| i64::from(bit)), to),
        Value::Offsets(offsets) => {
            let ends = |&(start, end): &(u32, u32)| [i64::from(start), i64::from(end)];
            write_i64(offsets.iter().flat_map(ends), to)
        }
        Value::WordIds(ids) => write_i64(ids.iter().map(|id| id.map_or(-1, i64::from)), to),
        Value::Vector(Some(vector)) => write_f32(vector, to),
        Value::Rows(rows, _) => write_f32(rows, to),
        // Texts, which the command line has refused, and vectors that are not there.
        _ => Err(io::Error::other("a field without numbers")),
    }
}

/// Appends what `spool` holds to `to` and gives its room on the disk back.
fn append(mut spool: Spool, to: &mut dyn Write) -> io::Result<()> {
    spool.rewind()?;
    let file = spool.into_inner().map_err(io::IntoInnerError::into_error)?;
    io::copy(&mut BufReader::with_capacity(BUFFER_BYTES, file), to).map(|_| ())
}

impl Format for Safetensors<'_> {
    fn write(
        &mut self,
        records: &[std::result::Result<Record, BadRecord>],
        _to: &mut dyn Write,
    ) -> Result<()> {
        for record in records {
            match record {
                Ok(record) => self.push(record)?,
                Err(bad) => return Err(no_place(Form::Safetensors, bad)),
            }
        }
        Ok(())
    }

    fn finish(&mut self, to: &mut dyn Write) -> Result<()> {
        let layout = Layout::new(&self.context, self.texts, self.tokens);
        to.write_all(&layout.header(&self.context))
            .kind(Kind::Output)?;
        let fields = self.context.fields.iter();
        let floats = std::iter::once(false).chain(fields.map(|&field| layout::is_float(field)));
        let mut columns: Vec<_> = floats.zip(std::mem::take(&mut self.columns)).collect();
        // As the layout has them.
        columns.sort_by_key(|&(is_float, _)| is_float);
        for spool in columns.into_iter().flat_map(|(_, spools)| spools) {
            append(spool, to).kind(Kind::Output)?;
        }
        Ok(())
    }
}
