//! One tensor of a mapped file: its type, its shape and its bytes, copied nowhere.
//!
//! Owns the reading of little-endian f32, f16 and bf16. Leaves where the bytes lie to
//! `safetensors_file.rs` and what they mean to `model/`.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use memmap2::Mmap;

/// The number types of weights that this program computes with.
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
    /// Bytes of one number.
    #[must_use]
    pub fn size_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
        }
    }

    /// The type of safetensors that has the same numbers, none for types that no weight has.
    pub(super) fn of(dtype: safetensors::Dtype) -> Option<Self> {
        match dtype {
            safetensors::Dtype::F32 => Some(Self::F32),
            safetensors::Dtype::F16 => Some(Self::F16),
            safetensors::Dtype::BF16 => Some(Self::BF16),
            _ => None,
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

/// A tensor in a mapped file; row-major, little-endian. Cheap to clone: the mapping is shared.
///
/// The numbers are as the file has them: NaN and infinity are not looked for, because that would read
/// every page of the file at each start. They show in the outputs, where they are looked for.
#[derive(Debug, Clone)]
pub struct TensorView {
    dtype: Dtype,
    shape: Vec<usize>,
    mapping: Arc<Mmap>,
    /// Bytes of `mapping`; as many as `dtype` and `shape` ask for, inside it.
    range: Range<usize>,
}

impl TensorView {
    /// The tensor at `range` of `mapping`, which the header's check has found to fit.
    pub(super) fn new(
        dtype: Dtype,
        shape: Vec<usize>,
        mapping: Arc<Mmap>,
        range: Range<usize>,
    ) -> Self {
        Self {
            dtype,
            shape,
            mapping,
            range,
        }
    }

    /// The type of the numbers in the file.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The dimensions, the slowest first.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The numbers as they lie in the file.
    ///
    /// # Shapes
    /// `size_bytes` of the dtype times the product of the shape.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.mapping[self.range.clone()]
    }

    /// Has the system map the tensor's pages now, in one call instead of a fault for every few.
    ///
    /// A system that cannot is not asked again: the pages are then mapped as they are touched.
    pub(super) fn populate(&self) {
        #[cfg(target_os = "linux")]
        let _ = self.mapping.advise_range(
            memmap2::Advice::PopulateRead,
            self.range.start,
            self.range.len(),
        );
    }

    /// Whether every number is finite; reads every page of the tensor.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        let finite = |numbers: &[f32]| numbers.iter().all(|number| number.is_finite());
        self.as_f32().map_or_else(|| finite(&self.to_f32()), finite)
    }

    /// Row `row` of a table, none where it has no such row.
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
        Some(Self::new(
            self.dtype,
            shape.to_vec(),
            Arc::clone(&self.mapping),
            range,
        ))
    }

    /// The numbers in place, without a copy: none unless they are f32 and lie on 4-byte boundaries,
    /// which the format recommends and does not demand.
    ///
    /// # Shapes
    /// The product of the shape.
    #[must_use]
    pub fn as_f32(&self) -> Option<&[f32]> {
        if self.dtype != Dtype::F32 || cfg!(target_endian = "big") {
            return None;
        }
        // SAFETY: every bit pattern is a valid f32, and `align_to` itself splits off what does not
        // lie on a boundary.
        let (before, numbers, after) = unsafe { self.bytes().align_to::<f32>() };
        (before.is_empty() && after.is_empty()).then_some(numbers)
    }

    /// The numbers as f32, which every f16 and bf16 is exactly.
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
                .map(|&number| f32::from_le_bytes(number))
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

/// `bytes`, two a number, as f32; in pieces, so that the processor's conversion of slices is used.
fn widen<H>(
    bytes: &[u8],
    from_le_bytes: fn([u8; 2]) -> H,
    convert: fn(&[H], &mut [f32]),
) -> Vec<f32> {
    const PIECE: usize = 4096;
    let (pairs, _) = bytes.as_chunks::<2>();
    let mut wide = vec![0.0; pairs.len()];
    let mut half = Vec::with_capacity(PIECE);
    for (pairs, wide) in pairs.chunks(PIECE).zip(wide.chunks_mut(PIECE)) {
        half.clear();
        half.extend(pairs.iter().map(|&pair| from_le_bytes(pair)));
        convert(&half, wide);
    }
    wide
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
        TensorView::new(dtype, vec![256, 256], mapping, 0..bytes.len()).to_f32()
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
        let view = |dtype, range| TensorView::new(dtype, vec![1], Arc::clone(&mapping), range);
        assert_eq!(view(Dtype::F32, 4..8).as_f32(), Some(&[1.5][..]));
        assert_eq!(view(Dtype::F32, 9..13).as_f32(), None);
        assert_eq!(view(Dtype::F32, 9..13).to_f32(), [2.5]);
        assert_eq!(view(Dtype::BF16, 4..6).as_f32(), None);
    }
}
