//! The rotation of int8: blocks of values along k by a Hadamard matrix.
//!
//! `x · w = (xH) · (wH) / n` for the Hadamard matrix H of size n, whose entries are 1 and -1. Each
//! value of a rotated block is a sum of all its values, so an outlier spreads over the block, and
//! few bits hold a group of 128 about as well as they hold 32 values that are not rotated. Source:
//! Ashkboos et al. 2024 (arXiv:2404.00456).
//!
//! `x` and weights are rotated by log2(n) rounds of sums and differences, of neighbours first, of
//! the two halves last. There is nothing else to round, so every level computes the same bits.

use super::format::MAX_GROUP;
use crate::ops::cpu::simd::Simd;

/// Rotates each block of `block` values, a power of two.
#[inline(always)]
pub(super) fn rotate_row(values: &mut [f32], block: usize) {
    match block {
        1 => {}
        2 => rotate_blocks::<2>(values),
        4 => rotate_blocks::<4>(values),
        8 => rotate_blocks::<8>(values),
        16 => rotate_blocks::<16>(values),
        32 => rotate_blocks::<32>(values),
        64 => rotate_blocks::<64>(values),
        _ => rotate_blocks::<MAX_GROUP>(values),
    }
}

/// Each round reads neighbours and writes halves, so that the compiler can use whole registers in
/// every one; after the last round all values have their places again.
#[inline(always)]
fn rotate_blocks<const N: usize>(values: &mut [f32]) {
    for values in values.as_chunks_mut::<N>().0 {
        for _ in 0..N.ilog2() {
            let mut next = [0.0; N];
            for pair in 0..N / 2 {
                let (a, b) = (values[2 * pair], values[2 * pair + 1]);
                next[pair] = a + b;
                next[N / 2 + pair] = a - b;
            }
            *values = next;
        }
    }
}

/// Rotates each block of `block` registers, one token in each lane.
#[inline(always)]
pub(super) fn rotate_lanes<S: Simd>(simd: S, values: &mut [S::Vector], block: usize) {
    for values in values.chunks_exact_mut(block) {
        let mut step = 1;
        while step < block {
            match block / step {
                2 => rounds::<S, 2>(simd, values, step),
                4 => rounds::<S, 4>(simd, values, step),
                8 => rounds::<S, 8>(simd, values, step),
                _ => rounds::<S, 16>(simd, values, step),
            }
            step *= (block / step).min(16);
        }
    }
}

/// log2(N) rounds in registers, for every N values that are `step` apart.
#[inline(always)]
fn rounds<S: Simd, const N: usize>(simd: S, values: &mut [S::Vector], step: usize) {
    for chunk in values.chunks_exact_mut(N * step) {
        for first in 0..step {
            let mut registers = [simd.splat(0.0); N];
            for at in 0..N {
                registers[at] = chunk[first + at * step];
            }
            round::<S, N, 1>(simd, &mut registers);
            round::<S, N, 2>(simd, &mut registers);
            round::<S, N, 4>(simd, &mut registers);
            round::<S, N, 8>(simd, &mut registers);
            for at in 0..N {
                chunk[first + at * step] = registers[at];
            }
        }
    }
}

/// Sums and differences of the values `HALF` apart.
#[inline(always)]
fn round<S: Simd, const N: usize, const HALF: usize>(simd: S, registers: &mut [S::Vector; N]) {
    if HALF >= N {
        return;
    }
    for pair in 0..N / 2 {
        let low = pair / HALF * 2 * HALF + pair % HALF;
        let (a, b) = (registers[low], registers[low + HALF]);
        registers[low] = simd.add(a, b);
        registers[low + HALF] = simd.sub(a, b);
    }
}
