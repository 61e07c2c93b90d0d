//! One tensor in a weight file, and how it becomes a [`TensorView`].

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use anyhow::{Result, anyhow, bail};
use memmap2::Mmap;
use safetensors::Dtype as StoredType;

use super::tensor_view::{Dtype, TensorView};

/// Tensors by their names in the file.
pub(crate) type StoredTensors = BTreeMap<String, StoredTensor>;

/// Where a tensor is in a file.
#[derive(Debug, Clone)]
pub(super) struct PlacedTensor {
    pub(super) dtype: StoredType,
    pub(super) shape: Vec<usize>,
    /// The first byte in the file.
    pub(super) start: usize,
    /// Elements from one index to the next of each dimension; `None` if the tensor is contiguous.
    pub(super) strides: Option<Vec<usize>>,
}

impl PlacedTensor {
    /// Whether the engine uses the tensor in the file, without a copy.
    pub(super) fn is_in_place(&self) -> bool {
        self.strides.is_none() && self.dtype != StoredType::F64
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * item_bytes(self.dtype)
    }
}

/// Bytes of one element; every type that is read has whole bytes.
pub(super) fn item_bytes(dtype: StoredType) -> usize {
    dtype.bitsize() / 8
}

pub(crate) struct StoredTensor {
    file_name: Arc<str>,
    pub(super) place: PlacedTensor,
    mapping: Arc<Mmap>,
    /// The tensor in the form that the engine reads, if the file has another; made once.
    copy: OnceLock<Arc<Vec<u8>>>,
}

/// The tensors at `places` in `mapping`, a file that messages call `file_name`; the caller has
/// checked that they are inside it.
pub(super) fn stored(
    file_name: &str,
    mapping: Mmap,
    places: impl IntoIterator<Item = (String, PlacedTensor)>,
) -> StoredTensors {
    let (file_name, mapping): (Arc<str>, _) = (Arc::from(file_name), Arc::new(mapping));
    let tensor = |place| StoredTensor {
        file_name: Arc::clone(&file_name),
        place,
        mapping: Arc::clone(&mapping),
        copy: OnceLock::new(),
    };
    let places = places.into_iter();
    places.map(|(name, place)| (name, tensor(place))).collect()
}

impl StoredTensor {
    /// The tensor, which must have `shape`; messages call it `name`.
    ///
    /// # Errors
    /// It has another shape, or a type that the engine does not read.
    pub(crate) fn shaped(&self, name: &str, shape: &[usize]) -> Result<TensorView> {
        if self.place.shape == shape {
            return self.view(name);
        }
        Err(self.wrong_shape(name, &shape_text(shape)))
    }

    pub(super) fn wrong_shape(&self, name: &str, wanted: &str) -> anyhow::Error {
        anyhow!(
            "tensor `{name}` in `{}` has shape {}, which is not the {wanted}",
            self.file_name,
            shape_text(&self.place.shape)
        )
    }

    /// The type in which the engine reads the tensor; messages call it `name`.
    ///
    /// # Errors
    /// The engine does not read the type in the file.
    pub(super) fn engine_dtype(&self, name: &str) -> Result<Dtype> {
        match self.place.dtype {
            StoredType::F32 | StoredType::F64 => Ok(Dtype::F32),
            StoredType::F16 => Ok(Dtype::F16),
            StoredType::BF16 => Ok(Dtype::BF16),
            other => bail!(
                "tensor `{name}` in `{}` is of type {other}, supported are F64, F32, F16 and BF16",
                self.file_name
            ),
        }
    }

    /// The tensor in place if it is contiguous, otherwise gathered; f64 is rounded to f32.
    fn view(&self, name: &str) -> Result<TensorView> {
        let dtype = self.engine_dtype(name)?;
        let shape = self.place.shape.clone();
        if self.place.is_in_place() {
            let mapping = Arc::clone(&self.mapping);
            return Ok(TensorView::new(dtype, shape, mapping, self.place.start));
        }
        let copy = self.copy.get_or_init(|| Arc::new(self.copied()));
        Ok(TensorView::copied(dtype, shape, Arc::clone(copy)))
    }

    fn copied(&self) -> Vec<u8> {
        let PlacedTensor { dtype, shape, .. } = &self.place;
        let source = &self.mapping[self.place.start..];
        let size_bytes = self.place.size_bytes();
        let mut bytes = Vec::with_capacity(size_bytes);
        match &self.place.strides {
            Some(strides) => gather(source, shape, strides, item_bytes(*dtype), &mut bytes),
            None => bytes.extend(&source[..size_bytes]),
        }
        match dtype {
            StoredType::F64 => to_f32(&bytes),
            _ => bytes,
        }
    }
}

/// `shape` as the header writes it: `[30522, 768]`.
pub(super) fn shape_text(shape: &[usize]) -> String {
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    format!("[{}]", sizes.join(", "))
}

/// Appends the elements of a strided tensor in row-major order.
fn gather(source: &[u8], shape: &[usize], strides: &[usize], item_bytes: usize, to: &mut Vec<u8>) {
    match (shape, strides) {
        ([size, shape @ ..], [stride, strides @ ..]) => (0..*size).for_each(|index| {
            let source = &source[index * stride * item_bytes..];
            gather(source, shape, strides, item_bytes, to);
        }),
        _ => to.extend(&source[..item_bytes]),
    }
}

fn to_f32(bytes: &[u8]) -> Vec<u8> {
    let (values, _) = bytes.as_chunks();
    let round = |&value: &[u8; 8]| (f64::from_le_bytes(value) as f32).to_le_bytes();
    values.iter().flat_map(round).collect()
}
