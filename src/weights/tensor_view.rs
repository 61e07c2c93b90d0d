//! A tensor in a mapped file: its type, shape and bytes; copied only to convert it to another type.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use memmap2::Mmap;

use super::half_precision::{narrow, widen};

/// The types of weights that this program computes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE 754 single precision, 4 bytes.
    F32,
    /// IEEE 754 half precision, 2 bytes.
    F16,
    /// The upper half of an f32, 2 bytes.
    BF16,
}

impl Dtype {
    #[must_use]
    pub fn size_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
        }
    }
}

/// As safetensors spells it: `F32`, `F16`, `BF16`.
impl fmt::Display for Dtype {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
        })
    }
}

#[derive(Debug, Clone)]
enum Data {
    Mapped(Arc<Mmap>),
    /// The file has the tensor in another form.
    Copied(Arc<Vec<u8>>),
}

/// A tensor in a mapped file; row-major, little-endian. Cheap to clone: the mapping is shared.
///
/// It may hold NaN or infinity: looking for them would read every page of the file at each start.
/// They show in the outputs, which are checked.
#[derive(Debug, Clone)]
pub struct TensorView {
    dtype: Dtype,
    shape: Vec<usize>,
    data: Data,
    /// The bytes of `data` that are the tensor's, as many as `dtype` and `shape` need.
    range: Range<usize>,
}

impl TensorView {
    /// The tensor that starts at byte `start` of `mapping`; the caller has checked that it fits.
    pub(super) fn new(dtype: Dtype, shape: Vec<usize>, mapping: Arc<Mmap>, start: usize) -> Self {
        let size_bytes = shape.iter().product::<usize>() * dtype.size_bytes();
        Self {
            dtype,
            shape,
            range: start..start + size_bytes,
            data: Data::Mapped(mapping),
        }
    }

    pub(super) fn copied(dtype: Dtype, shape: Vec<usize>, bytes: Arc<Vec<u8>>) -> Self {
        Self {
            dtype,
            shape,
            range: 0..bytes.len(),
            data: Data::Copied(bytes),
        }
    }

    #[must_use]
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The dimensions, row-major.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements, little-endian.
    ///
    /// # Shapes
    /// `size_bytes` of the dtype times the product of the shape.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        let all = match &self.data {
            Data::Mapped(mapping) => &mapping[..],
            Data::Copied(bytes) => &bytes[..],
        };
        &all[self.range.clone()]
    }

    /// The tensor rounded to `dtype`, to nearest, ties to even. The tensor itself, without a copy,
    /// if it has this type or `dtype` holds all its values.
    #[must_use]
    pub fn at_most(&self, dtype: Dtype) -> Self {
        let narrow: fn(&[f32]) -> Vec<u8> = match dtype {
            _ if dtype == self.dtype => return self.clone(),
            Dtype::F32 => return self.clone(),
            Dtype::F16 => |values| narrow(values, f16::from_f32, f16::to_le_bytes),
            Dtype::BF16 => |values| narrow(values, bf16::from_f32, bf16::to_le_bytes),
        };
        let bytes = match self.as_f32() {
            Some(values) => narrow(values),
            None => narrow(&self.to_f32()),
        };
        Self::copied(dtype, self.shape.clone(), Arc::new(bytes))
    }

    /// Has the system map the tensor's pages in one call instead of a fault for every few.
    ///
    /// If the system cannot, each page is mapped when it is touched.
    pub(super) fn populate(&self) {
        #[cfg(target_os = "linux")]
        if let Data::Mapped(mapping) = &self.data {
            let (start, size_bytes) = (self.range.start, self.range.len());
            let _ = mapping.advise_range(memmap2::Advice::PopulateRead, start, size_bytes);
        }
    }

    /// Gives the tensor's pages back to the system. They no longer count toward the process's
    /// memory; the next read maps them in again.
    pub(crate) fn release(&self) {
        #[cfg(target_os = "linux")]
        if let Data::Mapped(mapping) = &self.data {
            let (start, size_bytes) = (self.range.start, self.range.len());
            let advice = memmap2::UncheckedAdvice::DontNeed;
            // SAFETY: the mapping is file-backed and read-only, so a dropped page is re-read from
            // the file unchanged.
            let _ = unsafe { mapping.unchecked_advise_range(advice, start, size_bytes) };
        }
    }

    /// Whether every value is finite; reads every page of the tensor.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        self.as_f32().map_or_else(|| finite(&self.to_f32()), finite)
    }

    /// Row `row` of a table, or `None` if it does not have that many.
    ///
    /// # Shapes
    /// `[rows, width]` → `[width]`
    #[must_use]
    pub fn row(&self, row: usize) -> Option<Self> {
        let (&rows, shape) = self.shape.split_first()?;
        if row >= rows {
            return None;
        }
        let size_bytes = self.range.len() / rows;
        let start = self.range.start + row * size_bytes;
        let range = start..start + size_bytes;
        Some(Self {
            dtype: self.dtype,
            shape: shape.to_vec(),
            data: self.data.clone(),
            range,
        })
    }

    /// The values in place; `None` unless they are f32 at a multiple of 4 bytes, which the format
    /// recommends but does not require.
    ///
    /// # Shapes
    /// The product of the shape.
    #[must_use]
    pub fn as_f32(&self) -> Option<&[f32]> {
        // SAFETY: every bit pattern is a valid f32.
        unsafe { self.in_place(Dtype::F32) }
    }

    /// As [`TensorView::as_f32`], for f16.
    #[must_use]
    pub fn as_f16(&self) -> Option<&[f16]> {
        // SAFETY: every bit pattern is a valid f16.
        unsafe { self.in_place(Dtype::F16) }
    }

    /// As [`TensorView::as_f32`], for bf16.
    #[must_use]
    pub fn as_bf16(&self) -> Option<&[bf16]> {
        // SAFETY: every bit pattern is a valid bf16.
        unsafe { self.in_place(Dtype::BF16) }
    }

    /// # Safety
    /// Every bit pattern must be a valid `T`.
    unsafe fn in_place<T>(&self, dtype: Dtype) -> Option<&[T]> {
        if self.dtype != dtype || cfg!(target_endian = "big") {
            return None;
        }
        // SAFETY: the caller's promise; `align_to` splits off what is not aligned.
        let (before, values, after) = unsafe { self.bytes().align_to::<T>() };
        (before.is_empty() && after.is_empty()).then_some(values)
    }

    /// The values as f32, which represents every f16 and bf16 exactly.
    ///
    /// # Shapes
    /// The product of the shape.
    #[must_use]
    pub fn to_f32(&self) -> Vec<f32> {
        let bytes = self.bytes();
        match self.dtype {
            Dtype::F32 => bytes
                .as_chunks()
                .0
                .iter()
                .map(|&value| f32::from_le_bytes(value))
                .collect(),
            Dtype::F16 => widen(bytes, f16::from_le_bytes, |half, wide| {
                half.convert_to_f32_slice(wide);
            }),
            Dtype::BF16 => widen(bytes, bf16::from_le_bytes, |half, wide| {
                half.convert_to_f32_slice(wide);
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every 16-bit pattern as the tensor of `dtype` sees it.
    fn every_pattern(dtype: Dtype) -> Vec<f32> {
        let bytes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        let mut map = memmap2::MmapMut::map_anon(bytes.len()).expect("memory");
        map.copy_from_slice(&bytes);
        let mapping = Arc::new(map.make_read_only().expect("read-only"));
        TensorView::new(dtype, vec![256, 256], mapping, 0).to_f32()
    }

    #[test]
    fn every_bf16_is_the_upper_half_of_its_f32() {
        for (pattern, number) in (0..=u16::MAX).zip(every_pattern(Dtype::BF16)) {
            let expected = f32::from_bits(u32::from(pattern) << 16);
            assert!(number.to_bits() == expected.to_bits() || number.is_nan() && expected.is_nan());
        }
    }

    #[test]
    fn every_f16_has_the_value_that_ieee_754_gives_it() {
        for (pattern, number) in (0..=u16::MAX).zip(every_pattern(Dtype::F16)) {
            let (exponent, fraction) = ((pattern >> 10) & 31, f32::from(pattern & 1023));
            let magnitude = match exponent {
                0 => fraction * 2f32.powi(-24),
                31 if fraction == 0.0 => f32::INFINITY,
                31 => f32::NAN,
                _ => (1.0 + fraction / 1024.0) * 2f32.powi(i32::from(exponent) - 15),
            };
            let expected = if pattern >> 15 == 1 {
                -magnitude
            } else {
                magnitude
            };
            assert!(number.to_bits() == expected.to_bits() || number.is_nan() && expected.is_nan());
        }
    }

    #[test]
    fn only_aligned_f32_are_given_in_place() {
        let mut map = memmap2::MmapMut::map_anon(16).expect("memory");
        map[4..8].copy_from_slice(&1.5f32.to_le_bytes());
        map[9..13].copy_from_slice(&2.5f32.to_le_bytes());
        let mapping = Arc::new(map.make_read_only().expect("read-only"));
        let view = |dtype, start| TensorView::new(dtype, vec![1], Arc::clone(&mapping), start);
        assert_eq!(view(Dtype::F32, 4).as_f32(), Some(&[1.5][..]));
        assert_eq!(view(Dtype::F32, 9).as_f32(), None);
        assert_eq!(view(Dtype::F32, 9).to_f32(), [2.5]);
        assert_eq!(view(Dtype::BF16, 4).as_f32(), None);
    }
}
