//! Vector lanes behind one trait, chosen at run time.
//!
//! [`Level`] says which instructions are used. The kernels are written once over [`Simd`] and
//! instantiated here for AVX-512, AVX2 with FMA, and the baseline of the target.
//!
//! The bits of a result may differ between levels (other lane counts, fused or unfused
//! multiply-add), never within one.

/// Calls intrinsics on behalf of a method of a level.
#[cfg(target_arch = "x86_64")]
macro_rules! intrinsic {
    ($call:expr) => {
        // SAFETY: self exists only if detect() found the level's features; pointers are the
        // caller's promise.
        unsafe { $call }
    };
}

/// Methods that are one intrinsic each, with the same arguments.
#[cfg(target_arch = "x86_64")]
macro_rules! intrinsics {
    ($($method:ident($($argument:ident: $type:ty),*) -> $result:ty = $intrinsic:ident;)*) => {$(
        #[inline(always)]
        fn $method(self, $($argument: $type),*) -> $result {
            intrinsic!($intrinsic($($argument),*))
        }
    )*};
}

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod integers;
mod portable;

use std::sync::atomic::{AtomicU8, Ordering};

#[cfg(test)]
pub(crate) use integers::forbid_vnni;
pub(crate) use integers::{
    IntegerKernel, Integers, Packing, Products, WORDS_STEP, dispatch_integers, has_vnni,
};

/// The instruction set that the kernels run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Level {
    /// The target's baseline: SSE2 on x86-64, NEON on aarch64.
    Portable = 1,
    /// AVX2 with FMA and F16C: Haswell and later, Zen.
    Avx2 = 2,
    /// AVX-512 F: Skylake-X and later, Zen 4.
    Avx512 = 3,
}

/// The level forced by [`Level::force`]; 0 is none.
static FORCED: AtomicU8 = AtomicU8::new(0);

impl Level {
    /// Every level this machine can run, slowest first.
    #[cfg(test)]
    pub(crate) fn available() -> Vec<Self> {
        [Self::Portable, Self::Avx2, Self::Avx512]
            .into_iter()
            .filter(|level| *level <= Self::best())
            .collect()
    }

    /// The fastest level this machine can run.
    #[must_use]
    pub(crate) fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if avx512::Avx512::detect().is_some() {
                return Self::Avx512;
            }
            if avx2::Avx2::detect().is_some() {
                return Self::Avx2;
            }
        }
        Self::Portable
    }

    /// The level in use: the forced one, else the best.
    #[must_use]
    pub(crate) fn current() -> Self {
        match FORCED.load(Ordering::Relaxed) {
            1 => Self::Portable,
            2 => Self::Avx2,
            3 => Self::Avx512,
            _ => Self::best(),
        }
    }

    /// f32 values in one register.
    #[must_use]
    pub(crate) fn lanes(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 if avx512::Avx512::detect().is_some() => avx512::Avx512::LANES,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 if avx2::Avx2::detect().is_some() => avx2::Avx2::LANES,
            _ => portable::Portable::LANES,
        }
    }

    /// Outputs of the register tile.
    #[must_use]
    pub(crate) fn tile_outputs(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 if avx512::Avx512::detect().is_some() => avx512::Avx512::TILE_OUTPUTS,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 if avx2::Avx2::detect().is_some() => avx2::Avx2::TILE_OUTPUTS,
            _ => portable::Portable::TILE_OUTPUTS,
        }
    }

    /// Makes every kernel of the process run on `level` (or on the best again, with `None`).
    ///
    /// If the machine lacks the level, the baseline runs.
    #[cfg(test)]
    pub(crate) fn force(level: Option<Self>) {
        FORCED.store(level.map_or(0, |level| level as u8), Ordering::Relaxed);
    }
}

/// A piece of work written over lanes; [`dispatch`] compiles it for each level.
///
/// `run` must be `#[inline(always)]`, so that its body takes on the level's target features.
pub(crate) trait Kernel {
    /// What the work returns.
    type Output;
    /// Does the work with the lanes of `simd`.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Runs `kernel` on `level`, or on the baseline if the machine lacks it.
#[inline]
pub(crate) fn dispatch<K: Kernel>(level: Level, kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    match level {
        Level::Avx512 => {
            if let Some(simd) = avx512::Avx512::detect() {
                return simd.run(kernel);
            }
        }
        Level::Avx2 => {
            if let Some(simd) = avx2::Avx2::detect() {
                return simd.run(kernel);
            }
        }
        Level::Portable => {}
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = level;
    kernel.run(portable::Portable)
}

/// Lanes of f32 and the operations on them; a value of the type proves that the machine has them.
pub(crate) trait Simd: Copy + Send + Sync {
    /// One register.
    type Vector: Copy;
    /// f32 values in one register.
    const LANES: usize;
    /// Outputs of the register tile: two accumulators for each, two registers of `x` and one for
    /// the broadcast must fit in the register file.
    const TILE_OUTPUTS: usize;

    /// `value` in every lane.
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
    /// Asks for the cache line at `address`, which need not be readable.
    fn prefetch(self, address: *const f32);

    /// `a + b`
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a - b`
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b`
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a / b`
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b + c`, in one rounding if the level can.
    fn fma(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// The larger of each pair; `b` if either is NaN.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The smaller of each pair; `b` if either is NaN.
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The absolute value.
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
    /// `biased` is the exponent plus [`EXPONENT_MAGIC`], as the rounding by addition leaves it.
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
            // SAFETY: the slice has LANES values at least.
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
            // SAFETY: the slice has LANES values at least.
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
