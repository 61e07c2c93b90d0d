//! AVX2: eight words; products with `vpmaddwd`, or with AVX-VNNI (Alder Lake, Sapphire Rapids and
//! later, Zen 5).

use std::arch::asm;
use std::arch::x86_64::*;

use super::super::avx2::Avx2;
use super::{FusedBytes, FusedPairs, Integers, Products};

impl Products<Avx2> for FusedPairs {
    const PACKED: usize = 2;

    #[inline(always)]
    fn add_products(self, _: Avx2, sum: __m256i, x: __m256i, weight: __m256i) -> __m256i {
        // SAFETY: self exists only if the machine has the instruction.
        unsafe { fused_pairs(sum, x, weight) }
    }
}

impl Products<Avx2> for FusedBytes {
    const PACKED: usize = 4;

    #[inline(always)]
    fn add_products(self, _: Avx2, sum: __m256i, x: __m256i, weight: __m256i) -> __m256i {
        // SAFETY: self exists only if the machine has the instruction.
        unsafe { _mm256_dpbusd_avx_epi32(sum, x, weight) }
    }
}

/// `sums + a * b` of pairs, in one instruction.
///
/// Inline assembly: for three of four words the compiler turns the intrinsic into two instructions,
/// to shorten the chain of sums, which is not what the tile waits for.
#[target_feature(enable = "avx2,avxvnni")]
#[inline]
fn fused_pairs(mut sums: __m256i, a: __m256i, b: __m256i) -> __m256i {
    // SAFETY: the instruction touches registers only, and the function has its feature.
    unsafe {
        asm!(
            "{{vex}} vpdpwssd {sums}, {a}, {b}",
            sums = inout(ymm_reg) sums,
            a = in(ymm_reg) a,
            b = in(ymm_reg) b,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sums
}

/// `sums + a * b` of pairs, in two instructions.
///
/// Inline assembly: otherwise the compiler hoists the multiplications away from the additions and
/// runs out of registers.
#[target_feature(enable = "avx2")]
#[inline]
fn pairs(mut sums: __m256i, a: __m256i, b: __m256i) -> __m256i {
    // SAFETY: the instructions touch registers only, and the function has their feature.
    unsafe {
        asm!(
            "vpmaddwd {product}, {a}, {b}",
            "vpaddd {sums}, {sums}, {product}",
            product = out(ymm_reg) _,
            sums = inout(ymm_reg) sums,
            a = in(ymm_reg) a,
            b = in(ymm_reg) b,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sums
}

/// The products of one word: six outputs by two registers of tokens.
macro_rules! word {
    ($x:literal $y:literal: $a:literal $b:literal $c:literal $d:literal $e:literal $f:literal) => {
        concat!(
            "vmovups ymm12, [{panel} + ", $x, "]\n",
            "vmovups ymm13, [{panel} + ", $y, "]\n",
            word!($a "ymm0" "ymm1"),
            word!($b "ymm2" "ymm3"),
            word!($c "ymm4" "ymm5"),
            word!($d "ymm6" "ymm7"),
            word!($e "ymm8" "ymm9"),
            word!($f "ymm10" "ymm11"),
        )
    };
    ($weight:literal $one:literal $two:literal) => {
        concat!(
            "vpbroadcastd ymm14, [{weights} + ", $weight, "]\n",
            "vpmaddwd ymm15, ymm12, ymm14\n",
            "vpmaddwd ymm14, ymm13, ymm14\n",
            "vpaddd ", $one, ", ", $one, ", ymm15\n",
            "vpaddd ", $two, ", ", $two, ", ymm14\n",
        )
    };
}

/// Adds the products of `steps` times four words to the sums of six outputs and two registers of
/// tokens.
///
/// Inline assembly as a whole: sums, tokens and products fill the sixteen registers, and the
/// compiler would keep one or two sums in memory.
///
/// # Safety
/// As [`Integers::pairs_loop`].
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn pairs_loop(
    sums: &mut [[__m256i; 2]; 6],
    panel: *const i32,
    weights: *const i32,
    steps: usize,
    prefetch: usize,
) {
    // SAFETY: the caller's promise; all registers are named.
    unsafe {
        asm!(
            "2:",
            "prefetcht1 [{weights} + {prefetch}]",
            "prefetcht1 [{weights} + {prefetch} + 64]",
            word!("0" "32": "0" "4" "8" "12" "16" "20"),
            word!("64" "96": "24" "28" "32" "36" "40" "44"),
            word!("128" "160": "48" "52" "56" "60" "64" "68"),
            word!("192" "224": "72" "76" "80" "84" "88" "92"),
            "add {panel}, 256",
            "add {weights}, 96",
            "dec {steps}",
            "jnz 2b",
            panel = inout(reg) panel => _,
            weights = inout(reg) weights => _,
            steps = inout(reg) steps => _,
            prefetch = in(reg) prefetch * size_of::<i32>(),
            inout("ymm0") sums[0][0],
            inout("ymm1") sums[0][1],
            inout("ymm2") sums[1][0],
            inout("ymm3") sums[1][1],
            inout("ymm4") sums[2][0],
            inout("ymm5") sums[2][1],
            inout("ymm6") sums[3][0],
            inout("ymm7") sums[3][1],
            inout("ymm8") sums[4][0],
            inout("ymm9") sums[4][1],
            inout("ymm10") sums[5][0],
            inout("ymm11") sums[5][1],
            out("ymm12") _,
            out("ymm13") _,
            out("ymm14") _,
            out("ymm15") _,
            options(readonly, nostack)
        );
    }
}

impl Integers for Avx2 {
    type Words = __m256i;

    intrinsics! {
        splat_word(value: i32) -> __m256i = _mm256_set1_epi32;
        add_words(a: __m256i, b: __m256i) -> __m256i = _mm256_add_epi32;
        sub_words(a: __m256i, b: __m256i) -> __m256i = _mm256_sub_epi32;
        and(a: __m256i, b: __m256i) -> __m256i = _mm256_and_si256;
        or(a: __m256i, b: __m256i) -> __m256i = _mm256_or_si256;
        max_words(a: __m256i, b: __m256i) -> __m256i = _mm256_max_epi32;
        as_words(a: Self::Vector) -> __m256i = _mm256_castps_si256;
        as_floats(a: __m256i) -> Self::Vector = _mm256_castsi256_ps;
        to_floats(a: __m256i) -> Self::Vector = _mm256_cvtepi32_ps;
        multiply_pairs(a: __m256i, b: __m256i) -> __m256i = _mm256_madd_epi16;
    }

    #[inline(always)]
    unsafe fn load_words(self, from: *const i32) -> __m256i {
        intrinsic!(_mm256_loadu_si256(from.cast()))
    }
    #[inline(always)]
    unsafe fn store_words(self, words: __m256i, to: *mut i32) {
        intrinsic!(_mm256_storeu_si256(to.cast(), words));
    }
    #[inline(always)]
    fn shift_left<const N: u32>(self, a: __m256i) -> __m256i {
        // The constant of the immediate form has another type at each level; a register costs the
        // same.
        intrinsic!(_mm256_sll_epi32(a, _mm_cvtsi32_si128(N.cast_signed())))
    }
    #[inline(always)]
    fn add_pair(self, sum: __m256i, a: __m256i, b: __m256i) -> __m256i {
        intrinsic!(pairs(sum, a, b))
    }
    #[inline(always)]
    unsafe fn pairs_loop<const VECTORS: usize, const OUTPUTS: usize>(
        self,
        sums: &mut [[__m256i; VECTORS]; OUTPUTS],
        panel: *const i32,
        weights: *const i32,
        steps: usize,
        prefetch: usize,
    ) -> bool {
        if VECTORS != 2 || OUTPUTS != 6 || steps == 0 {
            return false;
        }
        // SAFETY: the arrays have the same size; the rest is the caller's promise.
        unsafe {
            let sums = &mut *std::ptr::from_mut(sums).cast();
            pairs_loop(sums, panel, weights, steps, prefetch);
        }
        true
    }
}
