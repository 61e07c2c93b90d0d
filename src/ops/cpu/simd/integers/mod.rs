//! Integers in lanes, and the instructions that multiply packed ones, chosen at run time.
//!
//! A word is 32 bits of one token: two i16 or four u8 that follow each other along k. All levels
//! compute the same words, so integer sums do not depend on the machine.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use std::sync::atomic::{AtomicBool, Ordering};

use super::{Describe, EXPONENT_MAGIC, Instructions, Level, LevelWork, Simd};

/// Words that the loops take at a time; a row of words is padded to a multiple of them.
pub(crate) const WORDS_STEP: usize = 4;

/// Words in lanes, as many as the level has f32.
pub(crate) trait Integers: Simd {
    /// One register of words.
    type Words: Copy;

    fn splat_word(self, value: i32) -> Self::Words;
    /// # Safety
    /// `from` must be readable for `LANES` words; no alignment is needed.
    unsafe fn load_words(self, from: *const i32) -> Self::Words;
    /// # Safety
    /// `to` must be writable for `LANES` words; no alignment is needed.
    unsafe fn store_words(self, words: Self::Words, to: *mut i32);
    /// `a + b`, which wraps.
    fn add_words(self, a: Self::Words, b: Self::Words) -> Self::Words;
    /// `a - b`, which wraps.
    fn sub_words(self, a: Self::Words, b: Self::Words) -> Self::Words;
    fn and(self, a: Self::Words, b: Self::Words) -> Self::Words;
    fn or(self, a: Self::Words, b: Self::Words) -> Self::Words;
    /// `a * 2^N`, which wraps.
    fn shift_left<const N: u32>(self, a: Self::Words) -> Self::Words;
    /// The larger of each pair.
    fn max_words(self, a: Self::Words, b: Self::Words) -> Self::Words;
    /// The bits of `a`.
    fn as_words(self, a: Self::Vector) -> Self::Words;
    /// The f32 with the bits of `a`.
    fn as_floats(self, a: Self::Words) -> Self::Vector;
    /// The f32 closest to each word.
    fn to_floats(self, a: Self::Words) -> Self::Vector;
    /// `low_a * low_b + high_a * high_b` of the i16 in each word.
    fn multiply_pairs(self, a: Self::Words, b: Self::Words) -> Self::Words;

    /// `sum + low_a * low_b + high_a * high_b`.
    #[inline(always)]
    fn add_pair(self, sum: Self::Words, a: Self::Words, b: Self::Words) -> Self::Words {
        self.add_words(sum, self.multiply_pairs(a, b))
    }

    /// If the level has a special loop for it, adds the products of `steps` times [`WORDS_STEP`]
    /// words to the sums and returns true. Prefetches the words `prefetch` words further into L2.
    ///
    /// # Shapes
    /// `panel`: `[words, VECTORS * LANES]`, `weights`: `[words, OUTPUTS]`, of pairs
    ///
    /// # Safety
    /// The words must be readable; the prefetched ones need not be.
    #[inline(always)]
    unsafe fn pairs_loop<const VECTORS: usize, const OUTPUTS: usize>(
        self,
        _sums: &mut [[Self::Words; VECTORS]; OUTPUTS],
        _panel: *const i32,
        _weights: *const i32,
        _steps: usize,
        _prefetch: usize,
    ) -> bool {
        false
    }

    /// Each value rounded to a whole number, ties to even; for values below 2^22.
    #[inline(always)]
    fn round(self, a: Self::Vector) -> Self::Words {
        let biased = self.as_words(self.add(a, self.splat(EXPONENT_MAGIC)));
        self.sub_words(
            biased,
            self.splat_word(EXPONENT_MAGIC.to_bits().cast_signed()),
        )
    }
}

/// Multiplies words and adds up the products.
pub(crate) trait Products<S: Integers>: Copy + Send + Sync {
    /// Integers in a word.
    const PACKED: usize;

    /// `sum + Σ x * weight` over the integers of each word.
    fn add_products(self, simd: S, sum: S::Words, x: S::Words, weight: S::Words) -> S::Words;

    /// The same with word `WORD` of output `OUTPUT`, which is read and broadcast.
    ///
    /// # Shapes
    /// `weights`: `[words, OUTPUTS]`
    ///
    /// # Safety
    /// The word must be readable.
    #[inline(always)]
    unsafe fn add_products_at<const OUTPUTS: usize, const WORD: usize, const OUTPUT: usize>(
        self,
        simd: S,
        sum: S::Words,
        x: S::Words,
        weights: *const i32,
    ) -> S::Words {
        // SAFETY: the caller's promise.
        let weight = unsafe { *weights.add(WORD * OUTPUTS + OUTPUT) };
        self.add_products(simd, sum, x, simd.splat_word(weight))
    }

    /// As [`Integers::pairs_loop`], for words of this packing.
    ///
    /// # Safety
    /// As [`Integers::pairs_loop`].
    #[inline(always)]
    unsafe fn products_loop<const VECTORS: usize, const OUTPUTS: usize>(
        self,
        _simd: S,
        _sums: &mut [[S::Words; VECTORS]; OUTPUTS],
        _panel: *const i32,
        _weights: *const i32,
        _steps: usize,
        _prefetch: usize,
    ) -> bool {
        false
    }
}

/// i16 by i16 in two instructions, which every level has.
#[derive(Clone, Copy)]
pub(crate) struct Pairs;

impl<S: Integers> Products<S> for Pairs {
    const PACKED: usize = 2;

    #[inline(always)]
    fn add_products(self, simd: S, sum: S::Words, x: S::Words, weight: S::Words) -> S::Words {
        simd.add_pair(sum, x, weight)
    }

    #[inline(always)]
    unsafe fn products_loop<const VECTORS: usize, const OUTPUTS: usize>(
        self,
        simd: S,
        sums: &mut [[S::Words; VECTORS]; OUTPUTS],
        panel: *const i32,
        weights: *const i32,
        steps: usize,
        prefetch: usize,
    ) -> bool {
        // SAFETY: the caller's promise.
        unsafe { simd.pairs_loop(sums, panel, weights, steps, prefetch) }
    }
}

/// i16 by i16 in one instruction (VNNI).
#[derive(Clone, Copy)]
pub(crate) struct FusedPairs(pub(super) ());

/// u8 by i8 in one instruction (VNNI).
#[derive(Clone, Copy)]
pub(crate) struct FusedBytes(pub(super) ());

/// Work written over words; [`dispatch_integers`] compiles it for each level and instruction.
///
/// `run` must be `#[inline(always)]`, so that its body takes on the level's target features.
pub(crate) trait IntegerKernel {
    /// Does the work with the words of `simd`.
    fn run<S: Integers, P: Products<S>>(self, simd: S, products: P);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// Two i16.
    Pairs,
    /// Four bytes: u8 of x, i8 of a weight.
    Bytes,
}

impl Packing {
    /// How many integers.
    pub(crate) fn packed(self) -> usize {
        match self {
            Self::Pairs => 2,
            Self::Bytes => 4,
        }
    }
}

/// Keeps the kernels from using VNNI, for tests.
static WITHOUT_VNNI: AtomicBool = AtomicBool::new(false);

pub(super) fn allows_vnni() -> bool {
    !WITHOUT_VNNI.load(Ordering::Relaxed)
}

/// Makes the kernels do without VNNI, or use it again if the machine has it.
#[cfg(test)]
pub(crate) fn forbid_vnni(forbid: bool) {
    WITHOUT_VNNI.store(forbid, Ordering::Relaxed);
}

/// Whether the level in use multiplies and adds packed integers in one instruction.
pub(crate) fn has_vnni() -> bool {
    Level::current().with(Describe).uses_vnni
}

/// Runs `kernel` on the level in use with words of `packing`.
///
/// # Panics
/// If the words are bytes and the level cannot multiply them ([`has_vnni`]).
#[inline]
pub(crate) fn dispatch_integers<K: IntegerKernel>(packing: Packing, kernel: K) {
    assert!(
        packing == Packing::Pairs || has_vnni(),
        "bytes are multiplied only with VNNI"
    );
    Level::current().with(RunIntegers(packing, kernel));
}

struct RunIntegers<K>(Packing, K);

impl<K: IntegerKernel> LevelWork for RunIntegers<K> {
    type Output = ();

    #[inline]
    fn run<I: Instructions>(self, instructions: I) {
        instructions.run_integers(self.0, self.1);
    }
}
