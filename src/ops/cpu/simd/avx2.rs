//! AVX2 with FMA: 8 lanes, 16 registers.

use std::arch::x86_64::*;

use super::{
    FusedBytes, FusedPairs, Instructions, IntegerKernel, Kernel, Packing, Pairs, Products, Simd,
};

/// Proof that the machine has AVX2 and FMA.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

instructions!(Avx2: ["avx2" "fma"], VNNI: "avxvnni");

impl Avx2 {
    /// A mask of the first `count` lanes for masked loads and stores.
    #[inline(always)]
    fn mask(self, count: usize) -> __m256i {
        const ONES_THEN_ZEROS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
        let from = &ONES_THEN_ZEROS[8 - count..][..8];
        // SAFETY: self proves AVX2; the slice has 8 values.
        unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
    }
}

impl Simd for Avx2 {
    type Vector = __m256;
    const LANES: usize = 8;
    const TILE_OUTPUTS: usize = 6;

    intrinsics! {
        splat(value: f32) -> __m256 = _mm256_set1_ps;
        add(a: __m256, b: __m256) -> __m256 = _mm256_add_ps;
        sub(a: __m256, b: __m256) -> __m256 = _mm256_sub_ps;
        mul(a: __m256, b: __m256) -> __m256 = _mm256_mul_ps;
        div(a: __m256, b: __m256) -> __m256 = _mm256_div_ps;
        fma(a: __m256, b: __m256, c: __m256) -> __m256 = _mm256_fmadd_ps;
        max(a: __m256, b: __m256) -> __m256 = _mm256_max_ps;
        min(a: __m256, b: __m256) -> __m256 = _mm256_min_ps;
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m256 {
        intrinsic!(_mm256_loadu_ps(from))
    }
    #[inline(always)]
    unsafe fn load_partial(self, from: *const f32, count: usize) -> __m256 {
        intrinsic!(_mm256_maskload_ps(from, self.mask(count)))
    }
    #[inline(always)]
    unsafe fn store(self, vector: __m256, to: *mut f32) {
        intrinsic!(_mm256_storeu_ps(to, vector));
    }
    #[inline(always)]
    unsafe fn store_partial(self, vector: __m256, to: *mut f32, count: usize) {
        intrinsic!(_mm256_maskstore_ps(to, self.mask(count), vector));
    }
    #[inline(always)]
    fn prefetch(self, address: *const f32) {
        intrinsic!(_mm_prefetch::<_MM_HINT_T1>(address.cast()));
    }
    #[inline(always)]
    fn abs(self, a: __m256) -> __m256 {
        intrinsic!(_mm256_andnot_ps(_mm256_set1_ps(-0.0), a))
    }
    #[inline(always)]
    fn select_less(self, a: __m256, b: __m256, yes: __m256, no: __m256) -> __m256 {
        intrinsic!(_mm256_blendv_ps(no, yes, _mm256_cmp_ps::<_CMP_LT_OQ>(a, b)))
    }
    #[inline(always)]
    fn scale(self, value: __m256, biased: __m256) -> __m256 {
        intrinsic!({
            let exponent = _mm256_slli_epi32::<23>(_mm256_castps_si256(biased));
            _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(value), exponent))
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
        let mut strips = [[self.splat(0.0); 4]; 2];
        for first in 0..2 {
            let mut rows = [self.splat(0.0); 4];
            for row in 0..4 {
                // SAFETY: 4 * first + row < 8, in bounds by the caller's promise.
                rows[row] = unsafe { self.load(from.add((4 * first + row) * from_stride)) };
            }
            // The halves of strips[first][c] hold four rows of columns c and c + 4.
            strips[first] = self.transpose_in_halves(rows);
        }
        for column in 0..4 {
            let (top, bottom) = (strips[0][column], strips[1][column]);
            // SAFETY: column + 4 < 8, in bounds by the caller's promise; self proves AVX2.
            unsafe {
                self.store(
                    _mm256_permute2f128_ps::<0x20>(top, bottom),
                    to.add(column * to_stride),
                );
                self.store(
                    _mm256_permute2f128_ps::<0x31>(top, bottom),
                    to.add((column + 4) * to_stride),
                );
            }
        }
    }
}

impl Avx2 {
    /// Transposes the 4×4 block that each half of the registers forms.
    #[inline(always)]
    fn transpose_in_halves(self, [a, b, c, d]: [__m256; 4]) -> [__m256; 4] {
        intrinsic!({
            let (ab_low, ab_high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            let (cd_low, cd_high) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
            [
                _mm256_shuffle_ps::<0x44>(ab_low, cd_low),
                _mm256_shuffle_ps::<0xEE>(ab_low, cd_low),
                _mm256_shuffle_ps::<0x44>(ab_high, cd_high),
                _mm256_shuffle_ps::<0xEE>(ab_high, cd_high),
            ]
        })
    }
}
