//! What the machine can do at most: multiply-adds a second, and bytes a second of the mapped file.
//!
//! A forward cannot be faster than its multiply-adds at one rate or its weights at the other.

#![allow(
    clippy::inline_always,
    reason = "a body takes on the target features of the function that it is inlined into"
)]

use std::fs::File;
use std::hint::black_box;
use std::path::Path;
use std::thread;
use std::time::Instant;

use anyhow::Result;
use memmap2::Mmap;

use crate::THREADS;

/// Independent sums in a thread: enough to hide the latency (4 cycles, 2 a cycle) at every width.
const SUMS: usize = 12;

/// Multiply-adds in a chain: 12 sums of 16 lanes take a core 5 ms.
const ROUNDS: usize = 2_000_000;

/// Streams in which a thread reads, as the multiplication reads the rows of its tile: with one, a
/// Zen 4 reads half as fast.
const STREAMS: usize = 12;

/// How far ahead of each line one is prefetched.
const AHEAD_BYTES: usize = 2048;

/// A limit is the best of so many tries: what disturbs one is no property of the machine.
const TRIES: usize = 5;

/// The mapped weights.
pub(crate) struct Limits {
    weights: Mmap,
}

impl Limits {
    pub(crate) fn open(weights: &Path) -> Result<Self> {
        // SAFETY: the benchmark's own checkpoint; nothing writes to it while it is mapped.
        let weights = unsafe { Mmap::map(&File::open(weights)?)? };
        weights.iter().step_by(4096).for_each(|byte| {
            black_box(*byte);
        });
        Ok(Self { weights })
    }

    /// 10⁹ bytes a second at which all threads together read the first `bytes` of the file.
    pub(crate) fn read_gb_per_s(&self, bytes: usize) -> f64 {
        best(|| self.read_once(bytes))
    }

    fn read_once(&self, bytes: usize) -> f64 {
        let bytes = &self.weights[..bytes.min(self.weights.len())];
        let part = bytes.len().div_ceil(usize::from(THREADS));
        let start = Instant::now();
        thread::scope(|scope| {
            for part in bytes.chunks(part) {
                scope.spawn(move || black_box(sum(part)));
            }
        });
        bytes.len() as f64 / start.elapsed().as_secs_f64() / 1e9
    }
}

/// 10⁹ multiplications and additions a second in f32 on all threads together.
pub(crate) fn fma_gflops() -> f64 {
    best(fma_once)
}

fn best(rate: impl Fn() -> f64) -> f64 {
    (0..TRIES).map(|_| rate()).fold(0.0, f64::max)
}

fn fma_once() -> f64 {
    let start = Instant::now();
    let flops: f64 = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(multiply_add)).collect();
        threads
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .sum()
    });
    flops / start.elapsed().as_secs_f64() / 1e9
}

/// Runs the chains at the widest level; how many operations they had.
fn multiply_add() -> f64 {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: detected.
            return unsafe { wide::multiply_add_avx512() };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: detected.
            return unsafe { wide::multiply_add_avx2() };
        }
    }
    chains([[1.0_f32; 4]; SUMS], |sum| {
        sum.map(|lane| lane * black_box(0.5) + 1.0)
    });
    operations(4)
}

/// Applies `step` to each of the sums, each time to its last result.
#[inline(always)]
fn chains<V: Copy>(mut sums: [V; SUMS], step: impl Fn(V) -> V) {
    for _ in 0..ROUNDS {
        for sum in &mut sums {
            *sum = step(*sum);
        }
    }
    black_box(&sums);
}

fn operations(lanes: usize) -> f64 {
    (2 * lanes * SUMS * ROUNDS) as f64
}

fn sum(bytes: &[u8]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: detected.
        return unsafe { wide::sum_avx512(bytes) };
    }
    add_words(bytes)
}

/// Reads the bytes in several streams, whose lines are on their way at once.
#[inline(always)]
fn add_words(bytes: &[u8]) -> u64 {
    let (lines, _) = bytes.as_chunks::<64>();
    let stream = lines.len() / STREAMS;
    let mut sums = [0_u64; 8];
    for at in 0..stream {
        for line in lines.iter().skip(at).step_by(stream.max(1)).take(STREAMS) {
            prefetch(line.as_ptr().wrapping_add(AHEAD_BYTES));
            for (sum, word) in sums.iter_mut().zip(line.as_chunks().0) {
                *sum = sum.wrapping_add(u64::from_le_bytes(*word));
            }
        }
    }
    sums.into_iter().fold(0, u64::wrapping_add)
}

#[inline(always)]
fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 has it, and it may be given any address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_set1_ps, _mm512_fmadd_ps, _mm512_set1_ps};

    use super::{SUMS, add_words, chains, operations};

    #[target_feature(enable = "avx512f")]
    pub(super) fn multiply_add_avx512() -> f64 {
        let (half, one) = (_mm512_set1_ps(0.5), _mm512_set1_ps(1.0));
        chains([one; SUMS], |sum| _mm512_fmadd_ps(sum, half, one));
        operations(16)
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn multiply_add_avx2() -> f64 {
        let (half, one) = (_mm256_set1_ps(0.5), _mm256_set1_ps(1.0));
        chains([one; SUMS], |sum| _mm256_fmadd_ps(sum, half, one));
        operations(8)
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn sum_avx512(bytes: &[u8]) -> u64 {
        add_words(bytes)
    }
}
