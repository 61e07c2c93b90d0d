//! AVX-512: sixteen words; products with `vpmaddwd`, or with AVX512-VNNI (Cascade Lake and later,
//! Zen 4).

use std::arch::asm;
use std::arch::x86_64::*;

use super::super::avx512::Avx512;
use super::{FusedBytes, FusedPairs, Integers, Products};

impl Products<Avx512> for FusedPairs {
    const PACKED: usize = 2;

    #[inline(always)]
    fn add_products(self, _: Avx512, sum: __m512i, x: __m512i, weight: __m512i) -> __m512i {
        // SAFETY: self exists only if the machine has the instruction.
        unsafe { fused_pairs(sum, x, weight) }
    }

    #[inline(always)]
    unsafe fn add_products_at<const OUTPUTS: usize, const WORD: usize, const OUTPUT: usize>(
        self,
        _: Avx512,
        sum: __m512i,
        x: __m512i,
        weights: *const i32,
    ) -> __m512i {
        // SAFETY: self exists only if the machine has the instruction; the caller's promise.
        unsafe { fused_pairs_at::<OUTPUTS, WORD, OUTPUT>(sum, x, weights) }
    }
}

impl Products<Avx512> for FusedBytes {
    const PACKED: usize = 4;

    #[inline(always)]
    fn add_products(self, _: Avx512, sum: __m512i, x: __m512i, weight: __m512i) -> __m512i {
        // SAFETY: self exists only if the machine has the instruction.
        unsafe { _mm512_dpbusd_epi32(sum, x, weight) }
    }

    #[inline(always)]
    unsafe fn add_products_at<const OUTPUTS: usize, const WORD: usize, const OUTPUT: usize>(
        self,
        _: Avx512,
        sum: __m512i,
        x: __m512i,
        weights: *const i32,
    ) -> __m512i {
        // SAFETY: self exists only if the machine has the instruction; the caller's promise.
        unsafe { fused_bytes_at::<OUTPUTS, WORD, OUTPUT>(sum, x, weights) }
    }
}

/// `sums + a * b` of pairs, in one instruction.
///
/// Inline assembly: for three of four words the compiler turns the intrinsic into two instructions,
/// to shorten the chain of sums, which is not what the tile waits for.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
fn fused_pairs(mut sums: __m512i, a: __m512i, b: __m512i) -> __m512i {
    // SAFETY: the instruction touches registers only, and the function has its feature.
    unsafe {
        asm!(
            "vpdpwssd {sums}, {a}, {b}",
            sums = inout(zmm_reg) sums,
            a = in(zmm_reg) a,
            b = in(zmm_reg) b,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sums
}

/// Defines `sums + a * b` in one instruction that reads and broadcasts `b`: word `WORD` of output
/// `OUTPUT` at `words`, `[words, OUTPUTS]`. With a separate broadcast for each product, a loop of
/// nothing else takes 1.37 times as long on a Zen 4.
macro_rules! fused_at {
    ($name:ident, $instruction:literal) => {
        /// # Safety
        /// The word must be readable.
        #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
        #[inline]
        unsafe fn $name<const OUTPUTS: usize, const WORD: usize, const OUTPUT: usize>(
            mut sums: __m512i,
            a: __m512i,
            words: *const i32,
        ) -> __m512i {
            // SAFETY: the function has the instruction's feature; the caller's promise.
            unsafe {
                asm!(
                    concat!($instruction, " {sums}, {a}, dword ptr [{words} + {at}]{{1to16}}"),
                    sums = inout(zmm_reg) sums,
                    a = in(zmm_reg) a,
                    words = in(reg) words,
                    at = const 4 * (WORD * OUTPUTS + OUTPUT),
                    options(pure, readonly, nostack, preserves_flags)
                );
            }
            sums
        }
    };
}

fused_at!(fused_pairs_at, "vpdpwssd");
fused_at!(fused_bytes_at, "vpdpbusd");

/// `sums + a * b` of pairs, in two instructions.
///
/// Inline assembly: otherwise the compiler hoists the multiplications away from the additions and
/// runs out of registers.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn pairs(mut sums: __m512i, a: __m512i, b: __m512i) -> __m512i {
    // SAFETY: the instructions touch registers only, and the function has their feature.
    unsafe {
        asm!(
            "vpmaddwd {product}, {a}, {b}",
            "vpaddd {sums}, {sums}, {product}",
            product = out(zmm_reg) _,
            sums = inout(zmm_reg) sums,
            a = in(zmm_reg) a,
            b = in(zmm_reg) b,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sums
}

impl Integers for Avx512 {
    type Words = __m512i;

    intrinsics! {
        splat_word(value: i32) -> __m512i = _mm512_set1_epi32;
        add_words(a: __m512i, b: __m512i) -> __m512i = _mm512_add_epi32;
        sub_words(a: __m512i, b: __m512i) -> __m512i = _mm512_sub_epi32;
        and(a: __m512i, b: __m512i) -> __m512i = _mm512_and_si512;
        or(a: __m512i, b: __m512i) -> __m512i = _mm512_or_si512;
        max_words(a: __m512i, b: __m512i) -> __m512i = _mm512_max_epi32;
        as_words(a: Self::Vector) -> __m512i = _mm512_castps_si512;
        as_floats(a: __m512i) -> Self::Vector = _mm512_castsi512_ps;
        to_floats(a: __m512i) -> Self::Vector = _mm512_cvtepi32_ps;
        multiply_pairs(a: __m512i, b: __m512i) -> __m512i = _mm512_madd_epi16;
    }

    #[inline(always)]
    unsafe fn load_words(self, from: *const i32) -> __m512i {
        intrinsic!(_mm512_loadu_si512(from.cast()))
    }
    #[inline(always)]
    unsafe fn store_words(self, words: __m512i, to: *mut i32) {
        intrinsic!(_mm512_storeu_si512(to.cast(), words));
    }
    #[inline(always)]
    fn shift_left<const N: u32>(self, a: __m512i) -> __m512i {
        // The constant of the immediate form has another type at each level; a register costs the
        // same.
        intrinsic!(_mm512_sll_epi32(a, _mm_cvtsi32_si128(N.cast_signed())))
    }
    #[inline(always)]
    fn add_pair(self, sum: __m512i, a: __m512i, b: __m512i) -> __m512i {
        intrinsic!(pairs(sum, a, b))
    }
}
