//! Vector lanes behind one trait, chosen at run time.
//!
//! The kernels are written once over [`Simd`] and compiled for each [`Level`]: AVX-512, AVX2 with
//! FMA, and the baseline of the target. A level is a file here, a file in `integers`, and a row of
//! the table below.
//!
//! The bits of a result may differ between levels (other lane counts, fused or unfused
//! multiply-add), never within one.

#![allow(
    clippy::wildcard_imports,
    reason = "the names of intrinsics are unique"
)]
#![allow(
    clippy::unused_self,
    reason = "self proves that the intrinsics may run"
)]

#[cfg(target_arch = "x86_64")]
#[macro_use]
mod x86;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod integers;
mod portable;

use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(test)]
pub(crate) use integers::forbid_vnni;
use integers::{FusedBytes, FusedPairs, Pairs};
pub(crate) use integers::{
    IntegerKernel, Integers, Packing, Products, WORDS_STEP, dispatch_integers, has_vnni,
};

/// Defines [`Level`] from a table of the levels, slowest first: for each its name, the type of its
/// instructions, and the targets that have them.
macro_rules! levels {
    ($($(#[doc = $doc:literal])* $level:ident = $instructions:ty, $targets:meta;)*) => {
        /// The instruction set that the kernels run on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Level {
            $($(#[doc = $doc])* #[cfg($targets)] $level,)*
        }

        impl Level {
            const ALL: &[Self] = &[$(#[cfg($targets)] Self::$level,)*];

            /// Does `work` with the level's instructions, or with the baseline's if the machine
            /// lacks them.
            #[inline]
            fn with<W: LevelWork>(self, work: W) -> W::Output {
                match self {
                    $(
                        #[cfg($targets)]
                        Self::$level => if let Some(instructions) = <$instructions>::detect() {
                            return work.run(instructions);
                        },
                    )*
                }
                work.run(portable::Portable)
            }

            fn is_available(self) -> bool {
                match self {
                    $(#[cfg($targets)] Self::$level => <$instructions>::detect().is_some(),)*
                }
            }
        }
    };
}

levels! {
    /// The target's baseline: SSE2 on x86-64, NEON on aarch64.
    Portable = portable::Portable, all();
    /// AVX2 with FMA: Haswell and later, Zen.
    Avx2 = avx2::Avx2, target_arch = "x86_64";
    /// AVX-512 F and BW: Skylake-X and later, Zen 4.
    Avx512 = avx512::Avx512, target_arch = "x86_64";
}

/// The index of the level set by `Level::force`; none if there is no such level.
static FORCED: AtomicUsize = AtomicUsize::new(usize::MAX);

impl Level {
    /// Every level this machine can run, slowest first.
    pub(crate) fn available() -> impl DoubleEndedIterator<Item = Self> {
        let all = Self::ALL.iter().copied();
        all.filter(|level| level.is_available())
    }

    /// The level in use: the forced one, else the fastest this machine can run.
    pub(crate) fn current() -> Self {
        let forced = Self::ALL.get(FORCED.load(Ordering::Relaxed)).copied();
        forced
            .or_else(|| Self::available().next_back())
            .unwrap_or(Self::Portable)
    }

    pub(crate) fn lanes(self) -> usize {
        self.with(Describe).lanes
    }

    pub(crate) fn tile_outputs(self) -> usize {
        self.with(Describe).tile_outputs
    }

    /// Makes every kernel of the process run on `level`, or on the best again with `None`.
    #[cfg(test)]
    pub(crate) fn force(level: Option<Self>) {
        let index = level.map_or(usize::MAX, |level| level as usize);
        FORCED.store(index, Ordering::Relaxed);
    }
}

/// Work that is compiled for each level.
trait LevelWork {
    type Output;
    fn run<I: Instructions>(self, instructions: I) -> Self::Output;
}

/// What a level adds to its lanes.
trait Instructions: Integers {
    /// A value of the type, which proves that the machine has the instructions.
    fn detect() -> Option<Self>;

    /// Whether the machine multiplies and adds packed integers in one instruction of this level.
    fn detects_vnni() -> bool {
        false
    }

    /// The same, unless a test forbids it.
    fn uses_vnni() -> bool {
        integers::allows_vnni() && Self::detects_vnni()
    }

    /// Runs `kernel`, compiled with the level's features.
    #[inline]
    fn run<K: Kernel>(self, kernel: K) {
        kernel.run(self);
    }

    /// Runs `kernel` on words of `packing`, compiled with the level's features.
    #[inline]
    fn run_integers<K: IntegerKernel>(self, _packing: Packing, kernel: K) {
        kernel.run(self, Pairs);
    }
}

struct Described {
    lanes: usize,
    tile_outputs: usize,
    uses_vnni: bool,
}

struct Describe;

impl LevelWork for Describe {
    type Output = Described;

    #[inline]
    fn run<I: Instructions>(self, _: I) -> Described {
        Described {
            lanes: I::LANES,
            tile_outputs: I::TILE_OUTPUTS,
            uses_vnni: I::uses_vnni(),
        }
    }
}

/// A piece of work written over lanes; [`dispatch`] compiles it for each level.
///
/// `run` must be `#[inline(always)]`, so that its body takes on the level's target features.
pub(crate) trait Kernel {
    /// Does the work with the lanes of `simd`.
    fn run<S: Simd>(self, simd: S);
}

/// Runs `kernel` on `level`, or on the baseline if the machine lacks it.
#[inline]
pub(crate) fn dispatch<K: Kernel>(level: Level, kernel: K) {
    level.with(RunKernel(kernel));
}

struct RunKernel<K>(K);

impl<K: Kernel> LevelWork for RunKernel<K> {
    type Output = ();

    #[inline]
    fn run<I: Instructions>(self, instructions: I) {
        instructions.run(self.0);
    }
}

/// Lanes of f32 and the operations on them; a value of the type proves that the machine has them.
pub(crate) trait Simd: Copy + Send + Sync {
    type Vector: Copy;
    /// f32 values in one register.
    const LANES: usize;
    /// Outputs of the register tile: two accumulators for each, two registers of `x` and one for
    /// the broadcast must fit in the register file.
    const TILE_OUTPUTS: usize;

    fn splat(self, value: f32) -> Self::Vector;
    /// # Safety
    /// `from` must be readable for `LANES` values; no alignment is needed.
    unsafe fn load(self, from: *const f32) -> Self::Vector;
    /// The first `count` values, zero in the other lanes.
    /// # Safety
    /// `from` must be readable for `count < LANES` values.
    unsafe fn load_partial(self, from: *const f32, count: usize) -> Self::Vector;
    /// # Safety
    /// `to` must be writable for `LANES` values; no alignment is needed.
    unsafe fn store(self, vector: Self::Vector, to: *mut f32);
    /// Writes the first `count` lanes.
    /// # Safety
    /// `to` must be writable for `count < LANES` values.
    unsafe fn store_partial(self, vector: Self::Vector, to: *mut f32, count: usize);
    /// Prefetches the cache line at `address`, which need not be readable.
    fn prefetch(self, address: *const f32);

    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b + c`, in one rounding if the level can.
    fn fma(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// The larger of each pair; `b` if either is NaN.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The smaller of each pair; `b` if either is NaN.
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn abs(self, a: Self::Vector) -> Self::Vector;
    /// `yes` in the lanes with `a < b`, `no` in the others.
    fn select_less(
        self,
        a: Self::Vector,
        b: Self::Vector,
        yes: Self::Vector,
        no: Self::Vector,
    ) -> Self::Vector;
    /// `value * 2^exponent` for `value` in [0.5, 2) and whole exponents from -125 to 126.
    ///
    /// `biased` is the exponent plus [`EXPONENT_MAGIC`].
    fn scale(self, value: Self::Vector, biased: Self::Vector) -> Self::Vector;

    /// Writes the `LANES` columns of a block of `LANES` rows as rows.
    /// # Safety
    /// `LANES` values of each of `LANES` rows, the given strides apart, must be readable in `from`
    /// and writable in `to`.
    unsafe fn transpose(self, from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize);

    /// Loads from a slice, with zero in the lanes that it does not fill.
    #[inline(always)]
    fn load_slice(self, from: &[f32]) -> Self::Vector {
        if from.len() >= Self::LANES {
            // SAFETY: the slice has at least LANES values.
            unsafe { self.load(from.as_ptr()) }
        } else {
            // SAFETY: the slice has from.len() < LANES values.
            unsafe { self.load_partial(from.as_ptr(), from.len()) }
        }
    }

    /// Stores as many lanes as `to` has values, `LANES` at most.
    #[inline(always)]
    fn store_slice(self, vector: Self::Vector, to: &mut [f32]) {
        if to.len() >= Self::LANES {
            // SAFETY: the slice has at least LANES values.
            unsafe { self.store(vector, to.as_mut_ptr()) }
        } else {
            // SAFETY: the slice has to.len() < LANES values.
            unsafe { self.store_partial(vector, to.as_mut_ptr(), to.len()) }
        }
    }
}

/// 1.5 * 2^23: added to a float below 2^22 it rounds it to a whole number, held in the low mantissa
/// bits.
pub(crate) const EXPONENT_MAGIC: f32 = 12_582_912.0;
