//! One pickle of `PyTorch` → a tree of plain values, which are found by their numbers.

use super::machine::Machine;
use super::pickle_value::{PickleValue, ValueId, damaged};
use crate::error::Result;

/// A pickle that was read to its end.
pub(super) struct Pickle<'a> {
    values: Vec<PickleValue<'a>>,
    /// The value that the pickle stands for.
    pub(super) root: ValueId,
    /// The bytes that the pickle takes; more may follow.
    pub(super) size_bytes: usize,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle at the beginning of `bytes`.
    ///
    /// # Errors
    /// It is damaged, too large, or holds anything but tensors, dictionaries, lists, tuples, texts
    /// and numbers.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self> {
        let mut machine = Machine::new(bytes);
        let root = machine.run()?;
        Ok(Self {
            values: machine.values,
            root,
            size_bytes: machine.position,
        })
    }

    /// The value `id`.
    pub(super) fn get(&self, id: ValueId) -> &PickleValue<'a> {
        &self.values[id]
    }

    /// The items of the tuple `id`.
    pub(super) fn tuple(&self, id: ValueId) -> Result<&[ValueId]> {
        match self.get(id) {
            PickleValue::Tuple(items) => Ok(items),
            _ => Err(damaged()),
        }
    }

    /// The number `id`, which is at least 0.
    pub(super) fn size(&self, id: ValueId) -> Result<usize> {
        match *self.get(id) {
            PickleValue::Integer(number) => usize::try_from(number).map_err(|_| damaged()),
            _ => Err(damaged()),
        }
    }

    /// The key `id`, a text or a number.
    pub(super) fn key(&self, id: ValueId) -> Result<String> {
        match self.get(id) {
            PickleValue::Text(text) => Ok((*text).to_owned()),
            PickleValue::Integer(number) => Ok(number.to_string()),
            _ => Err(damaged()),
        }
    }

    /// Every value in the order in which the pickle makes them.
    pub(super) fn values(&self) -> impl Iterator<Item = &PickleValue<'a>> {
        self.values.iter()
    }
}
