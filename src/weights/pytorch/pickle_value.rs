//! What a pickle of `PyTorch` may hold. Nothing is called and no Python object is built: a class or
//! function that tensors and dictionaries do not need is refused by its name.

use safetensors::Dtype;

use crate::checkpoint::json::shortened;
use crate::checkpoint::local_file::model_error;
use crate::error::{Error, Result};

/// The place of a value in its pickle.
pub(super) type ValueId = usize;

/// A value of a pickle. Containers hold the places of their items, so shared and cyclic values are
/// no problem.
#[derive(Debug)]
pub(super) enum PickleValue<'a> {
    Integer(i64),
    Text(&'a str),
    /// None, a boolean, a float, bytes or a long integer; its value is never needed.
    Other,
    Tuple(Vec<ValueId>),
    List(Vec<ValueId>),
    Dictionary(Vec<(ValueId, ValueId)>),
    /// A class or a function.
    Global(Global),
    /// A call of a function with a tuple of arguments; it is never made.
    Call(Global, ValueId),
    /// A reference to something outside the pickle: a storage, or a tensor of the oldest files.
    External(ValueId),
}

/// The classes and functions that a pickle may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    /// `torch.FloatStorage` and the like.
    Storage(Dtype),
    /// `_rebuild_tensor` and `_rebuild_tensor_v2`, whose first four arguments are the same.
    RebuildTensor,
    /// `_rebuild_parameter` and `_rebuild_parameter_with_state`: their first argument is the
    /// tensor.
    RebuildParameter,
    /// `torch.FloatTensor` and the like, which the oldest files name beside each tensor.
    TensorType,
}

impl Global {
    pub(super) fn find(module: &str, name: &str) -> Result<Self> {
        let found = match (module, name) {
            ("collections", "OrderedDict") => Some(Self::OrderedDict),
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Some(Self::RebuildTensor),
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                Some(Self::RebuildParameter)
            }
            ("torch" | "torch.cuda", name) => match name.strip_suffix("Tensor") {
                Some(number) => storage_type(number).map(|_| Self::TensorType),
                None => name
                    .strip_suffix("Storage")
                    .and_then(storage_type)
                    .map(Self::Storage),
            },
            _ => None,
        };
        found.ok_or_else(|| {
            let name = shortened(&format!("{module}.{name}"));
            model_error(format!(
                "it holds the Python object `{name}`, allowed are only tensors and dictionaries \
                 (nothing was run)"
            ))
        })
    }
}

/// The type of the numbers in `torch.<name>Storage`.
fn storage_type(name: &str) -> Option<Dtype> {
    Some(match name {
        "Float" => Dtype::F32,
        "Double" => Dtype::F64,
        "Half" => Dtype::F16,
        "BFloat16" => Dtype::BF16,
        "Long" => Dtype::I64,
        "Int" => Dtype::I32,
        "Short" => Dtype::I16,
        "Char" => Dtype::I8,
        "Byte" => Dtype::U8,
        "Bool" => Dtype::BOOL,
        _ => return None,
    })
}

pub(super) fn damaged() -> Error {
    model_error("its pickle is damaged")
}
