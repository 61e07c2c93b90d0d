//! AVX-512 F and BW: 16 lanes, 32 registers.

use std::arch::x86_64::*;

use super::{
    FusedBytes, FusedPairs, Instructions, IntegerKernel, Kernel, Packing, Pairs, Products, Simd,
};

/// Proof that the machine has AVX-512 F and BW (and AVX2 with FMA, which every such machine has).
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

instructions!(Avx512: ["avx512f" "avx512bw" "avx2" "fma"], VNNI: "avx512vnni");

impl Simd for Avx512 {
    type Vector = __m512;
    const LANES: usize = 16;
    const TILE_OUTPUTS: usize = 12;

    intrinsics! {
        splat(value: f32) -> __m512 = _mm512_set1_ps;
        add(a: __m512, b: __m512) -> __m512 = _mm512_add_ps;
        sub(a: __m512, b: __m512) -> __m512 = _mm512_sub_ps;
        mul(a: __m512, b: __m512) -> __m512 = _mm512_mul_ps;
        div(a: __m512, b: __m512) -> __m512 = _mm512_div_ps;
        fma(a: __m512, b: __m512, c: __m512) -> __m512 = _mm512_fmadd_ps;
        max(a: __m512, b: __m512) -> __m512 = _mm512_max_ps;
        min(a: __m512, b: __m512) -> __m512 = _mm512_min_ps;
        abs(a: __m512) -> __m512 = _mm512_abs_ps;
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m512 {
        intrinsic!(_mm512_loadu_ps(from))
    }
    #[inline(always)]
    unsafe fn load_partial(self, from: *const f32, count: usize) -> __m512 {
        intrinsic!(_mm512_maskz_loadu_ps((1 << count) - 1, from))
    }
    #[inline(always)]
    unsafe fn store(self, vector: __m512, to: *mut f32) {
        intrinsic!(_mm512_storeu_ps(to, vector));
    }
    #[inline(always)]
    unsafe fn store_partial(self, vector: __m512, to: *mut f32, count: usize) {
        intrinsic!(_mm512_mask_storeu_ps(to, (1 << count) - 1, vector));
    }
    #[inline(always)]
    fn prefetch(self, address: *const f32) {
        intrinsic!(_mm_prefetch::<_MM_HINT_T1>(address.cast()));
    }
    #[inline(always)]
    fn select_less(self, a: __m512, b: __m512, yes: __m512, no: __m512) -> __m512 {
        intrinsic!(_mm512_mask_blend_ps(
            _mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b),
            no,
            yes
        ))
    }
    #[inline(always)]
    fn scale(self, value: __m512, biased: __m512) -> __m512 {
        intrinsic!({
            let exponent = _mm512_slli_epi32::<23>(_mm512_castps_si512(biased));
            _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(value), exponent))
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
        let mut strips = [[self.splat(0.0); 4]; 4];
        for first in 0..4 {
            let mut rows = [self.splat(0.0); 4];
            for row in 0..4 {
                // SAFETY: 4 * first + row < 16, in bounds by the caller's promise.
                rows[row] = unsafe { self.load(from.add((4 * first + row) * from_stride)) };
            }
            // Quarter q of strips[first][c] holds four rows of column 4q + c.
            strips[first] = self.transpose_in_quarters(rows);
        }
        for column in 0..4 {
            let quarters = [
                strips[0][column],
                strips[1][column],
                strips[2][column],
                strips[3][column],
            ];
            let columns = self.transpose_quarters(quarters);
            for quarter in 0..4 {
                // SAFETY: 4 * quarter + column < 16, in bounds by the caller's promise.
                unsafe { self.store(columns[quarter], to.add((4 * quarter + column) * to_stride)) }
            }
        }
    }
}

impl Avx512 {
    /// Transposes the 4×4 block that each quarter of the registers forms.
    #[inline(always)]
    fn transpose_in_quarters(self, [a, b, c, d]: [__m512; 4]) -> [__m512; 4] {
        intrinsic!({
            let (ab_low, ab_high) = (_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
            let (cd_low, cd_high) = (_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
            [
                _mm512_shuffle_ps::<0x44>(ab_low, cd_low),
                _mm512_shuffle_ps::<0xEE>(ab_low, cd_low),
                _mm512_shuffle_ps::<0x44>(ab_high, cd_high),
                _mm512_shuffle_ps::<0xEE>(ab_high, cd_high),
            ]
        })
    }

    /// Transposes the 4×4 block of quarters that the registers form.
    #[inline(always)]
    fn transpose_quarters(self, [a, b, c, d]: [__m512; 4]) -> [__m512; 4] {
        intrinsic!({
            let (ab_low, ab_high) = (
                _mm512_shuffle_f32x4::<0x44>(a, b),
                _mm512_shuffle_f32x4::<0xEE>(a, b),
            );
            let (cd_low, cd_high) = (
                _mm512_shuffle_f32x4::<0x44>(c, d),
                _mm512_shuffle_f32x4::<0xEE>(c, d),
            );
            [
                _mm512_shuffle_f32x4::<0x88>(ab_low, cd_low),
                _mm512_shuffle_f32x4::<0xDD>(ab_low, cd_low),
                _mm512_shuffle_f32x4::<0x88>(ab_high, cd_high),
                _mm512_shuffle_f32x4::<0xDD>(ab_high, cd_high),
            ]
        })
    }
}
