//! The values of a pickle of `PyTorch`. Nothing is called and no Python object is built: a class or
//! function that tensors and dictionaries do not need is refused by name.

use anyhow::{anyhow, bail};
use safetensors::Dtype as StoredType;

use crate::checkpoint::json::shortened;

/// The index of a value in its pickle.
pub(super) type ValueId = usize;

/// A pickle that was read to its end.
pub(super) struct Pickle<'a> {
    /// Every value, in the order in which the pickle creates them.
    pub(super) values: Vec<PickleValue<'a>>,
    pub(super) root: ValueId,
    /// The bytes of the pickle; more may follow.
    pub(super) size_bytes: usize,
}

/// A value of a pickle. Containers hold the indices of their items, so that shared and cyclic
/// values need no special care.
#[derive(Debug)]
pub(super) enum PickleValue<'a> {
    Integer(i64),
    Text(&'a str),
    /// None, a boolean, a float, bytes or a long integer; its value is never needed.
    Other,
    Tuple(Vec<ValueId>),
    List(Vec<ValueId>),
    Dictionary(Vec<(ValueId, ValueId)>),
    Global(Global),
    /// A call of a function with a tuple of arguments, which is not made.
    Call(Global, ValueId),
    /// A reference to a storage outside the pickle.
    External(ValueId),
}

/// The classes and functions that a pickle may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    /// `torch.FloatStorage` and the like.
    Storage(StoredType),
    /// `_rebuild_tensor` and `_rebuild_tensor_v2`, whose first four arguments are the same.
    RebuildTensor,
    /// `_rebuild_parameter` and `_rebuild_parameter_with_state`: their first argument is the
    /// tensor.
    RebuildParameter,
}

impl Global {
    pub(super) fn find(module: &str, name: &str) -> anyhow::Result<Self> {
        Ok(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                Self::RebuildParameter
            }
            ("torch" | "torch.cuda", "FloatStorage") => Self::Storage(StoredType::F32),
            ("torch" | "torch.cuda", "DoubleStorage") => Self::Storage(StoredType::F64),
            ("torch" | "torch.cuda", "HalfStorage") => Self::Storage(StoredType::F16),
            ("torch" | "torch.cuda", "BFloat16Storage") => Self::Storage(StoredType::BF16),
            ("torch" | "torch.cuda", "LongStorage") => Self::Storage(StoredType::I64),
            ("torch" | "torch.cuda", "IntStorage") => Self::Storage(StoredType::I32),
            ("torch" | "torch.cuda", "ShortStorage") => Self::Storage(StoredType::I16),
            ("torch" | "torch.cuda", "CharStorage") => Self::Storage(StoredType::I8),
            ("torch" | "torch.cuda", "ByteStorage") => Self::Storage(StoredType::U8),
            ("torch" | "torch.cuda", "BoolStorage") => Self::Storage(StoredType::BOOL),
            _ => bail!(
                "it holds the Python object `{}`, allowed are only tensors and dictionaries \
                 (nothing was run)",
                shortened(&format!("{module}.{name}"))
            ),
        })
    }
}

impl<'a> Pickle<'a> {
    pub(super) fn get(&self, id: ValueId) -> &PickleValue<'a> {
        &self.values[id]
    }

    pub(super) fn tuple(&self, id: ValueId) -> anyhow::Result<&[ValueId]> {
        match self.get(id) {
            PickleValue::Tuple(items) => Ok(items),
            _ => Err(damaged()),
        }
    }

    /// The integer `id`, which is at least 0.
    pub(super) fn size(&self, id: ValueId) -> anyhow::Result<usize> {
        match *self.get(id) {
            PickleValue::Integer(size) => usize::try_from(size).map_err(|_| damaged()),
            _ => Err(damaged()),
        }
    }

    /// The integers of the tuple or list `id`.
    pub(super) fn sizes(&self, id: ValueId) -> anyhow::Result<Vec<usize>> {
        let (PickleValue::Tuple(items) | PickleValue::List(items)) = self.get(id) else {
            return Err(damaged());
        };
        items.iter().map(|&item| self.size(item)).collect()
    }
}

pub(super) fn damaged() -> anyhow::Error {
    anyhow!("its pickle is damaged")
}
