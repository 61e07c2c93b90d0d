//! Pickle's stack machine, which creates values and runs nothing.
//!
//! Source: the instructions and their stack effects are documented in Python's `pickletools`.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};

use super::pickle::{Global, Pickle, PickleValue, ValueId, damaged};

/// The most instructions in a pickle; BERT large's has about 15,000. This also bounds memory.
const MAX_INSTRUCTIONS: usize = 1_000_000;

impl<'a> Pickle<'a> {
    /// Reads the pickle at the start of `bytes`.
    ///
    /// # Errors
    /// It is damaged, too large, or holds anything but tensors, dictionaries, lists, tuples,
    /// strings and numbers.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self> {
        let mut machine = Machine {
            bytes,
            ..Machine::default()
        };
        let root = machine.run()?;
        Ok(Self {
            values: machine.values,
            root,
            size_bytes: machine.position,
        })
    }
}

#[derive(Default)]
struct Machine<'a> {
    bytes: &'a [u8],
    position: usize,
    values: Vec<PickleValue<'a>>,
    stack: Vec<ValueId>,
    /// The height of the stack at each mark.
    marks: Vec<usize>,
    memo: HashMap<u64, ValueId>,
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Result<ValueId> {
        for _ in 0..MAX_INSTRUCTIONS {
            match self.byte()? {
                b'.' => return self.pop(),
                instruction => self.step(instruction)?,
            }
        }
        bail!("its pickle has more than {MAX_INSTRUCTIONS} instructions")
    }

    /// Runs one instruction; `pickletools` lists the letters.
    fn step(&mut self, instruction: u8) -> Result<()> {
        match instruction {
            0x80 => self.take(1).map(drop),
            0x95 => self.take(8).map(drop),
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' => self.pop().map(drop),
            b'1' => self.pop_to_mark().map(drop),
            b'2' => {
                self.stack.push(self.top()?);
                Ok(())
            }
            b'q' | b'r' | b'p' | 0x94 => {
                let key = self.memo_key(instruction)?;
                self.memo.insert(key, self.top()?);
                Ok(())
            }
            b'h' | b'j' | b'g' => {
                let key = self.memo_key(instruction)?;
                let value = self.memo.get(&key).ok_or_else(damaged)?;
                self.stack.push(*value);
                Ok(())
            }
            b'b' => self.build(),
            b'a' | b'e' | b's' | b'u' => self.fill(instruction),
            _ => {
                let value = self.value(instruction)?;
                self.push(value);
                Ok(())
            }
        }
    }

    fn value(&mut self, instruction: u8) -> Result<PickleValue<'a>> {
        Ok(match instruction {
            b')' => PickleValue::Tuple(Vec::new()),
            b']' => PickleValue::List(Vec::new()),
            b'}' => PickleValue::Dictionary(Vec::new()),
            b't' => PickleValue::Tuple(self.pop_to_mark()?),
            b'l' => PickleValue::List(self.pop_to_mark()?),
            b'd' => PickleValue::Dictionary(pairs(&self.pop_to_mark()?)?),
            0x85..=0x87 => PickleValue::Tuple(self.pop_last(usize::from(instruction - 0x84))?),
            b'c' => PickleValue::Global(Global::find(self.line()?, self.line()?)?),
            0x93 => self.global_on_stack()?,
            b'P' => {
                let name = PickleValue::Text(self.line()?);
                self.values.push(name);
                PickleValue::External(self.values.len() - 1)
            }
            b'Q' => PickleValue::External(self.pop()?),
            b'R' => self.call()?,
            _ => self.constant(instruction)?,
        })
    }

    fn constant(&mut self, instruction: u8) -> Result<PickleValue<'a>> {
        Ok(match instruction {
            b'N' | 0x88 | 0x89 => PickleValue::Other,
            b'G' => self.take(8).map(|_| PickleValue::Other)?,
            b'F' => self.line().map(|_| PickleValue::Other)?,
            b'J' => PickleValue::Integer(i32::from_le_bytes(self.array()?).into()),
            b'K' => PickleValue::Integer(self.byte()?.into()),
            b'M' => PickleValue::Integer(u16::from_le_bytes(self.array()?).into()),
            b'I' | b'L' => {
                let digits = self.line()?.trim_end_matches('L');
                let number = digits.parse().ok();
                number.map_or(PickleValue::Other, PickleValue::Integer)
            }
            0x8a | 0x8b => self.long(instruction)?,
            b'X' | b'T' | b'U' | 0x8c | 0x8d => PickleValue::Text(self.text(instruction)?),
            b'V' => PickleValue::Text(self.line()?),
            b'S' => PickleValue::Text(self.line()?.trim_matches(['\'', '"'])),
            b'B' | b'C' | 0x8e => {
                let size = self.size(instruction)?;
                self.take(size).map(|_| PickleValue::Other)?
            }
            _ => bail!(
                "its pickle has the instruction 0x{instruction:02x}, which tensors and \
                 dictionaries do not need (nothing was run)"
            ),
        })
    }

    /// An integer of up to 8 bytes in two's complement; longer ones are not needed.
    fn long(&mut self, instruction: u8) -> Result<PickleValue<'a>> {
        let size = match instruction {
            0x8a => self.byte()?.into(),
            _ => u32::from_le_bytes(self.array()?) as usize,
        };
        let bytes = self.take(size)?;
        let mut number = [0; 8];
        let Some(place) = number.get_mut(..size) else {
            return Ok(PickleValue::Other);
        };
        place.copy_from_slice(bytes);
        if bytes.last().is_some_and(|last| last >> 7 == 1) {
            number[size..].fill(0xff);
        }
        Ok(PickleValue::Integer(i64::from_le_bytes(number)))
    }

    fn text(&mut self, instruction: u8) -> Result<&'a str> {
        let size = self.size(instruction)?;
        let bytes = self.take(size)?;
        std::str::from_utf8(bytes).map_err(|_| damaged())
    }

    /// The size that precedes a string or bytes.
    fn size(&mut self, instruction: u8) -> Result<usize> {
        Ok(match instruction {
            b'U' | b'C' | 0x8c => self.byte()?.into(),
            b'X' | b'T' | b'B' => u32::from_le_bytes(self.array()?) as usize,
            _ => usize::try_from(u64::from_le_bytes(self.array()?)).map_err(|_| damaged())?,
        })
    }

    /// Moves items from the stack into the list or dictionary below them.
    fn fill(&mut self, instruction: u8) -> Result<()> {
        let items = match instruction {
            b'a' => self.pop_last(1)?,
            b's' => self.pop_last(2)?,
            _ => self.pop_to_mark()?,
        };
        let target = self.top()?;
        match (&mut self.values[target], instruction) {
            (PickleValue::List(list), b'a' | b'e') => list.extend(items),
            (PickleValue::Dictionary(entries), b's' | b'u') => entries.extend(pairs(&items)?),
            _ => return Err(damaged()),
        }
        Ok(())
    }

    fn memo_key(&mut self, instruction: u8) -> Result<u64> {
        Ok(match instruction {
            0x94 => self.memo.len() as u64,
            b'q' | b'h' => self.byte()?.into(),
            b'r' | b'j' => u32::from_le_bytes(self.array()?).into(),
            _ => self.line()?.parse().map_err(|_| damaged())?,
        })
    }

    fn global_on_stack(&mut self) -> Result<PickleValue<'a>> {
        let (name, module) = (self.pop()?, self.pop()?);
        match (&self.values[module], &self.values[name]) {
            (PickleValue::Text(module), PickleValue::Text(name)) => {
                Global::find(module, name).map(PickleValue::Global)
            }
            _ => Err(damaged()),
        }
    }

    /// A call of `OrderedDict` is a dictionary; any other call is kept as one.
    fn call(&mut self) -> Result<PickleValue<'a>> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        match (&self.values[function], &self.values[arguments]) {
            (PickleValue::Global(Global::OrderedDict), PickleValue::Tuple(arguments)) => {
                Ok(PickleValue::Dictionary(self.ordered_entries(arguments)?))
            }
            (&PickleValue::Global(function), PickleValue::Tuple(_)) => {
                Ok(PickleValue::Call(function, arguments))
            }
            _ => Err(damaged()),
        }
    }

    /// The entries of an `OrderedDict`, which Python 2 pickled as a list of pairs.
    fn ordered_entries(&self, arguments: &[ValueId]) -> Result<Vec<(ValueId, ValueId)>> {
        let Some(&list) = arguments.first() else {
            return Ok(Vec::new());
        };
        let PickleValue::List(entries) = &self.values[list] else {
            return Err(damaged());
        };
        let entry = |&entry: &ValueId| match &self.values[entry] {
            PickleValue::List(pair) | PickleValue::Tuple(pair) if pair.len() == 2 => {
                Ok((pair[0], pair[1]))
            }
            _ => Err(damaged()),
        };
        entries.iter().map(entry).collect()
    }

    /// Drops attributes: a state dict has only `_metadata`, which is not needed.
    fn build(&mut self) -> Result<()> {
        self.pop()?;
        let object = self.top()?;
        ensure!(
            matches!(self.values[object], PickleValue::Dictionary(_)),
            "it sets the attributes of a Python object, allowed are only tensors and \
             dictionaries (nothing was run)"
        );
        Ok(())
    }

    fn push(&mut self, value: PickleValue<'a>) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    fn top(&self) -> Result<ValueId> {
        self.stack.last().copied().ok_or_else(damaged)
    }

    fn pop(&mut self) -> Result<ValueId> {
        self.pop_last(1).map(|last| last[0])
    }

    fn pop_last(&mut self, items: usize) -> Result<Vec<ValueId>> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len().checked_sub(items) {
            Some(height) if height >= floor => Ok(self.stack.split_off(height)),
            _ => Err(damaged()),
        }
    }

    fn pop_to_mark(&mut self) -> Result<Vec<ValueId>> {
        let height = self.marks.pop().ok_or_else(damaged)?;
        Ok(self.stack.split_off(height))
    }

    fn byte(&mut self) -> Result<u8> {
        self.array().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| damaged())
    }

    fn take(&mut self, size: usize) -> Result<&'a [u8]> {
        let end = self.position.checked_add(size).ok_or_else(damaged)?;
        let bytes = self
            .bytes
            .get(self.position..end)
            .context("it is cut short: its pickle has no end")?;
        self.position = end;
        Ok(bytes)
    }

    fn line(&mut self) -> Result<&'a str> {
        const MAX_BYTES: usize = 4096;
        let rest = &self.bytes[self.position..];
        let end = rest.iter().take(MAX_BYTES).position(|&byte| byte == b'\n');
        let line = self.take(end.ok_or_else(damaged)?)?;
        self.take(1)?;
        std::str::from_utf8(line).map_err(|_| damaged())
    }
}

fn pairs(items: &[ValueId]) -> Result<Vec<(ValueId, ValueId)>> {
    match items.as_chunks() {
        (pairs, []) => Ok(pairs.iter().map(|&[key, value]| (key, value)).collect()),
        _ => Err(damaged()),
    }
}
