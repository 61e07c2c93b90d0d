//! The numeric fields as tensors of one safetensors file.
//!
//! The file stores one tensor after another, and each record adds a part to every tensor. So the
//! log has one frame per record: its number of tokens, the bytes of its id, the values of each
//! field, the id. The file is assembled tensor by tensor; the two sizes at the start of a frame
//! locate the parts. Fields of tokens are concatenated, text i has the rows
//! `offsets[i]..offsets[i + 1]`; so are ids, as UTF-8, if the input has any.

mod layout;

use std::io::{self, Read, Seek, Write};

use super::size::{Measured, Size};
use super::{Assembly, Context, Float, Log, RecordWriter, without_field};
use crate::error::{Classify, Kind, Result};
use crate::input::Id;
use crate::record::{Field, Record, RecordOrBad, Totals, Value};
use layout::{Frame, Layout, Part};

pub(super) struct Safetensors<'a>(pub(super) Context<'a>);

impl Safetensors<'_> {
    fn write_frame(&self, record: &Record, to: &mut dyn Write) -> Result<()> {
        let has_ids = self.0.fields.contains(&Field::Id);
        let id = record.text.text.id.as_ref().filter(|_| has_ids);
        let id = id.map_or("", Id::as_str);
        let sizes = [record.encoding().tokens(), id.len()];
        write_i64(sizes.map(|size| (size as u64).cast_signed()), to).kind(Kind::Output)?;
        for &field in self.0.fields.iter().filter(|field| field.is_numeric()) {
            let value = record.value(field, self.0.tokenizer);
            let value = value.ok_or_else(|| without_field(field))?;
            write_value(&value, self.0.float, to).kind(Kind::Output)?;
        }
        to.write_all(id.as_bytes()).kind(Kind::Output)
    }
}

pub(super) fn size(context: &Context, measured: &Measured) -> Size {
    let layout = Layout::new(context, &measured.totals, measured.id_bytes);
    Size::Exact(layout.size_bytes(context))
}

fn write_value(value: &Value, float: Float, to: &mut dyn Write) -> io::Result<()> {
    match value {
        Value::Number(number) => write_i64([number.cast_signed()], to),
        Value::Integers(values, _) => write_i64(values.iter().map(|&value| value.into()), to),
        Value::NullableIntegers(values) => {
            write_i64(values.iter().map(|value| value.map_or(-1, i64::from)), to)
        }
        Value::Floats(values, _) => float.write(values, to),
        Value::Layers(layers, _) => layers.iter().try_for_each(|layer| float.write(layer, to)),
        Value::Null
        | Value::Text(_)
        | Value::Json(_)
        | Value::Segment(_)
        | Value::Id(_)
        | Value::Tokens(..)
        | Value::Words(_) => Err(io::Error::other("a field without numeric values")),
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
            let (mut totals, mut id_bytes) = (Totals::default(), 0);
            self.each_frame(log, |_, frame| {
                totals.add(&Totals::of_text(frame.tokens, 0));
                id_bytes += frame.id_bytes;
                Ok(())
            })?;
            let layout = Layout::new(&self.0, &totals, id_bytes);
            to.write_all(&layout.header(&self.0))?;
            for part in layout.parts() {
                self.write_part(part, log, to)?;
            }
            Ok(())
        };
        assemble().kind(Kind::Output)
    }
}

impl Safetensors<'_> {
    fn write_part(&self, part: Part, log: &mut Log, to: &mut dyn Write) -> io::Result<()> {
        let (field, number) = match part {
            Part::Offsets => return self.write_ends(|frame| frame.tokens, log, to),
            Part::IdOffsets => return self.write_ends(|frame| frame.id_bytes, log, to),
            Part::Ids => {
                let place = |frame: &Frame| (frame.values_bytes(&self.0), frame.id_bytes);
                return self.copy_from_frames(place, log, to);
            }
            Part::OfField { field, number } => (field, number),
        };
        let place = |frame: &Frame| frame.place(&self.0, field, number);
        self.copy_from_frames(place, log, to)
    }

    /// Writes 0, then the running sum of `size` after each frame.
    fn write_ends(
        &self,
        size: impl Fn(&Frame) -> u64,
        log: &mut Log,
        to: &mut dyn Write,
    ) -> io::Result<()> {
        let mut end = 0;
        write_i64([end], to)?;
        self.each_frame(log, |_, frame| {
            end += size(&frame).cast_signed();
            write_i64([end], to)
        })
    }

    /// Copies from each frame the bytes at `place`, a start and a size.
    fn copy_from_frames(
        &self,
        place: impl Fn(&Frame) -> (u64, u64),
        log: &mut Log,
        to: &mut dyn Write,
    ) -> io::Result<()> {
        self.each_frame(log, |log, frame| {
            let (start, size_bytes) = place(&frame);
            log.seek_relative(start.cast_signed())?;
            let copied = io::copy(&mut log.take(size_bytes), to)?;
            if copied < size_bytes {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(())
        })
    }

    /// Calls `each` with the sizes of each frame and leaves the log positioned just past them.
    fn each_frame(
        &self,
        log: &mut Log,
        mut each: impl FnMut(&mut Log, Frame) -> io::Result<()>,
    ) -> io::Result<()> {
        let end = log.seek(io::SeekFrom::End(0))?;
        log.rewind()?;
        let mut start = 0;
        while start < end {
            let frame = Frame {
                tokens: read_u64(log)?,
                id_bytes: read_u64(log)?,
            };
            start += 2 * size_of::<u64>() as u64 + frame.values_bytes(&self.0) + frame.id_bytes;
            each(log, frame)?;
            let position = log.stream_position()?;
            log.seek_relative(start.cast_signed() - position.cast_signed())?;
        }
        Ok(())
    }
}

fn write_i64(values: impl IntoIterator<Item = i64>, to: &mut dyn Write) -> io::Result<()> {
    let bytes: Vec<u8> = values.into_iter().flat_map(i64::to_le_bytes).collect();
    to.write_all(&bytes)
}

fn read_u64(log: &mut Log) -> io::Result<u64> {
    let mut bytes = [0; size_of::<u64>()];
    log.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}
