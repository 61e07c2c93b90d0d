//! The numeric fields as tensors of one safetensors file.
//!
//! The file has one tensor after the other, and each record gives a part of every tensor. So the log
//! has a frame for each record, its number of tokens and then the numbers of each field, and the
//! file is assembled tensor by tensor: the number of tokens tells where each part lies in a frame.
//! Fields of tokens are laid end to end; text i has the rows `offsets[i]..offsets[i + 1]`.

mod layout;

use std::io::{self, Read, Seek, Write};

use super::bytes::{write_f32, write_i64};
use super::size::{Measured, Size};
use super::{Assembly, Context, Log, RecordOrBad, RecordWriter, without_field};
use crate::error::{Classify, Kind, Result};
use crate::record::{Record, Totals, Value};
use layout::{Layout, Part};

/// Writes a frame for each record.
pub(super) struct Safetensors<'a>(Context<'a>);

impl<'a> Safetensors<'a> {
    /// A file with the fields of `context`.
    #[must_use]
    pub(super) fn new(context: Context<'a>) -> Self {
        Self(context)
    }

    fn write_frame(&self, record: &Record, to: &mut dyn Write) -> Result<()> {
        let tokens = record.encoding.tokens() as u64;
        write_i64([tokens.cast_signed()], to).kind(Kind::Output)?;
        for &field in self.0.fields {
            let value = record.value(field, self.0.tokenizer);
            let value = value.ok_or_else(|| without_field(field))?;
            write_value(&value, to).kind(Kind::Output)?;
        }
        Ok(())
    }
}

/// The size of the file: exact, of the numeric fields.
pub(super) fn size(context: &Context, measured: &Measured) -> Size {
    let layout = Layout::new(context, &measured.totals);
    Size {
        bytes: layout.size_bytes(context),
        remark: "numeric fields only".to_owned(),
    }
}

fn write_value(value: &Value, to: &mut dyn Write) -> io::Result<()> {
    match value {
        Value::Number(number) => write_i64([number.cast_signed()], to),
        Value::Integers(values, _) => write_i64(values.iter().map(|&value| value.into()), to),
        Value::NullableIntegers(values) => {
            write_i64(values.iter().map(|value| value.map_or(-1, i64::from)), to)
        }
        Value::Floats(values, _) => write_f32(values, to),
        Value::Layers(layers, _) => layers.iter().try_for_each(|layer| write_f32(layer, to)),
        Value::Null
        | Value::Text(_)
        | Value::Json(_)
        | Value::Segment(_)
        | Value::Id(_)
        | Value::Tokens(..)
        | Value::Words(_) => Err(io::Error::other("a field without numbers")),
    }
}

impl RecordWriter for Safetensors<'_> {
    fn write(&mut self, records: &[RecordOrBad], to: &mut dyn Write) -> Result<()> {
        let mut records = records.iter().flatten();
        records.try_for_each(|record| self.write_frame(record, to))
    }

    fn assembly(&self) -> Option<&dyn Assembly> {
        Some(self)
    }
}

impl Assembly for Safetensors<'_> {
    fn assemble(&self, log: &mut Log, to: &mut dyn Write) -> Result<()> {
        let mut assemble = || -> io::Result<()> {
            let mut totals = Totals::default();
            self.each_frame(log, |_, tokens| {
                totals.add(&Totals::of_text(tokens, 0));
                Ok(())
            })?;
            let layout = Layout::new(&self.0, &totals);
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
        let Part::OfField { field, number } = part else {
            let mut end = 0;
            write_i64([end], to)?;
            return self.each_frame(log, |_, tokens| {
                end += tokens.cast_signed();
                write_i64([end], to)
            });
        };
        self.each_frame(log, |log, tokens| {
            let (start, size_bytes) = layout::place(&self.0, field, number, tokens);
            log.seek_relative(start.cast_signed())?;
            let copied = io::copy(&mut log.take(size_bytes), to)?;
            if copied < size_bytes {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(())
        })
    }

    /// Calls `each` with the number of tokens of each frame; the log stands behind that number.
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
