//! The baseline: four lanes as an array, which the compiler turns into SSE2 or NEON.

use super::{Instructions, Simd};

/// Runs on every machine.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

const LANES: usize = 4;

impl Instructions for Portable {
    #[inline]
    fn detect() -> Option<Self> {
        Some(Self)
    }
}

#[inline(always)]
fn zip(a: [f32; LANES], b: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    std::array::from_fn(|lane| f(a[lane], b[lane]))
}

/// `a * b + c`, fused only if the baseline has the instruction: the library call is 50 times
/// slower.
#[inline(always)]
fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
        a.mul_add(b, c)
    } else {
        a * b + c
    }
}

impl Simd for Portable {
    type Vector = [f32; LANES];
    const LANES: usize = LANES;
    // Without FMA, products need two registers in addition to the accumulators.
    const TILE_OUTPUTS: usize = if cfg!(target_arch = "aarch64") { 12 } else { 4 };

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Vector {
        [value; LANES]
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::Vector {
        // SAFETY: the caller promises LANES readable values.
        unsafe { from.cast::<[f32; LANES]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_partial(self, from: *const f32, count: usize) -> Self::Vector {
        let mut vector = [0.0; LANES];
        // SAFETY: the caller promises count readable values, fewer than LANES.
        vector[..count].copy_from_slice(unsafe { std::slice::from_raw_parts(from, count) });
        vector
    }
    #[inline(always)]
    unsafe fn store(self, vector: Self::Vector, to: *mut f32) {
        // SAFETY: the caller promises LANES writable values.
        unsafe { to.cast::<[f32; LANES]>().write_unaligned(vector) }
    }
    #[inline(always)]
    unsafe fn store_partial(self, vector: Self::Vector, to: *mut f32, count: usize) {
        for (lane, value) in vector.into_iter().enumerate().take(count) {
            // SAFETY: the caller promises count writable values.
            unsafe { to.add(lane).write(value) }
        }
    }
    #[inline(always)]
    fn prefetch(self, _address: *const f32) {}
    #[inline(always)]
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        zip(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn fma(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        std::array::from_fn(|lane| multiply_add(a[lane], b[lane], c[lane]))
    }
    #[inline(always)]
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        zip(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn abs(self, a: Self::Vector) -> Self::Vector {
        a.map(f32::abs)
    }
    #[inline(always)]
    fn select_less(
        self,
        a: Self::Vector,
        b: Self::Vector,
        yes: Self::Vector,
        no: Self::Vector,
    ) -> Self::Vector {
        std::array::from_fn(|lane| {
            if a[lane] < b[lane] {
                yes[lane]
            } else {
                no[lane]
            }
        })
    }
    #[inline(always)]
    fn scale(self, value: Self::Vector, biased: Self::Vector) -> Self::Vector {
        zip(value, biased, |value, biased| {
            f32::from_bits(value.to_bits().wrapping_add(biased.to_bits() << 23))
        })
    }
    #[inline(always)]
    unsafe fn transpose(
        self,
        from: *const f32,
        from_stride: usize,
        to: *mut f32,
        to_stride: usize,
    ) {
        // SAFETY: row and column are below LANES, in bounds by the caller's promise.
        unsafe {
            let mut rows = [[0.0; LANES]; LANES];
            for (row, values) in rows.iter_mut().enumerate() {
                *values = self.load(from.add(row * from_stride));
            }
            let [a, b, c, d] = rows;
            for (column, (((a, b), c), d)) in a.into_iter().zip(b).zip(c).zip(d).enumerate() {
                self.store([a, b, c, d], to.add(column * to_stride));
            }
        }
    }
}
