//! The numeric fields as tensors of one safetensors file.
//!
//! The file has each tensor by itself, and records come with a part of every tensor. So the log has
//! a frame a record, its number of tokens and then the numbers of each field, and the file is
//! assembled tensor by tensor: where in a frame a part lies is known from its number of tokens.
//! Fields of tokens are laid end to end; text i has the rows `offsets[i]..offsets[i + 1]`.

mod layout;

use std::io::{self, Read, Seek, Write};

use super::OutputFormat as Form;
use super::bytes::{write_f32, write_i64};
use super::{Assembly, Context, Format, Log, no_place};
use crate::error::{Classify, Error, Kind, Result};
use crate::record::Value;
use crate::record::{BadRecord, Record};
pub use layout::size_bytes;
use layout::{Layout, Part};

/// Writes a frame a record.
pub struct Safetensors<'a>(Context<'a>);

impl<'a> Safetensors<'a> {
    /// A file with the fields of `context`.
    #[must_use]
    pub fn new(context: Context<'a>) -> Self {
        Self(context)
    }

    fn write_frame(&self, record: &Record, to: &mut dyn Write) -> Result<()> {
        let tokens = record.encoding.tokens() as u64;
        write_i64([tokens.cast_signed()], to).kind(Kind::Output)?;
        for &field in self.0.fields {
            let nothing = || Error::message(Kind::Internal, "a record without one of its fields");
            let value = record.value(field, self.0).ok_or_else(nothing)?;
            write_value(&value, to).kind(Kind::Output)?;
        }
        Ok(())
    }
}

fn write_value(value: &Value, to: &mut dyn Write) -> io::Result<()> {
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
        Value::Layers(layers, _) => layers.iter().try_for_each(|layer| write_f32(layer, to)),
        // Texts, which the command line has refused, and vectors that are not there.
        _ => Err(io::Error::other("a field without numbers")),
    }
}

impl Format for Safetensors<'_> {
    fn write(
        &mut self,
        records: &[std::result::Result<Record, BadRecord>],
        to: &mut dyn Write,
    ) -> Result<()> {
        for record in records {
            match record {
                Ok(record) => self.write_frame(record, to)?,
                Err(bad) => return Err(no_place(Form::Safetensors, bad)),
            }
        }
        Ok(())
    }

    fn assembly(&self) -> Option<&dyn Assembly> {
        Some(self)
    }
}

impl Assembly for Safetensors<'_> {
    fn assemble(&self, log: &mut Log, to: &mut dyn Write) -> Result<()> {
        let mut assemble = || -> io::Result<()> {
            let (mut texts, mut all_tokens) = (0, 0);
            self.each_frame(log, |_, tokens| {
                texts += 1;
                all_tokens += tokens;
                Ok(())
            })?;
            let layout = Layout::new(&self.0, texts, all_tokens);
            to.write_all(&layout.header(&self.0))?;
            for part in layout.parts(&self.0) {
                self.write_part(part, log, to)?;
            }
            Ok(())
        };
        assemble().kind(Kind::Output)
    }
}

impl Safetensors<'_> {
    fn write_part(&self, part: Part, log: &mut Log, to: &mut dyn Write) -> io::Result<()> {
        let Part::OfField { field, layer } = part else {
            let mut end = 0;
            write_i64([end], to)?;
            return self.each_frame(log, |_, tokens| {
                end += tokens.cast_signed();
                write_i64([end], to)
            });
        };
        self.each_frame(log, |log, tokens| {
            let (start, size_bytes) = layout::place(&self.0, field, layer, tokens);
            log.seek_relative(start.cast_signed())?;
            let copied = io::copy(&mut log.take(size_bytes), to)?;
            if copied < size_bytes {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(())
        })
    }

    /// Calls `each` behind the number of tokens of each frame, with that number.
    fn each_frame(
        &self,
        log: &mut Log,
        mut each: impl FnMut(&mut Log, u64) -> io::Result<()>,
    ) -> io::Result<()> {
        const TOKENS_BYTES: u64 = size_of::<i64>() as u64;
        let end = log.seek(io::SeekFrom::End(0))?;
        log.rewind()?;
        let mut start = 0;
        while start < end {
            let mut tokens = [0; TOKENS_BYTES as usize];
            log.read_exact(&mut tokens)?;
            let tokens = u64::from_le_bytes(tokens);
            each(log, tokens)?;
            start += TOKENS_BYTES + layout::frame_bytes(&self.0, tokens);
            let here = log.stream_position()?;
            log.seek_relative(start.cast_signed() - here.cast_signed())?;
        }
        Ok(())
    }
}
