//! The register tile that linear and attention share.
//!
//! Lanes run along the tokens of a panel; the other operand is read where it lies, one value at a
//! time, and broadcast to all tokens. So weights need neither a transposed copy nor alignment (four-byte loads never straddle a
//! cache line), and one order of summation, k upwards from zero, serves every number of tokens.

use super::panel::panel_tokens;
use super::simd::Simd;

/// Steps of k between two updates of the pointers.
const UNROLL: usize = 4;

/// f32 values in a cache line.
const LINE: usize = 16;

/// The right-hand operand: `value(output, k)` lies at `start + output * output_stride + k * k_stride`.
#[derive(Clone, Copy)]
pub(crate) struct StridedOperand {
    pub(crate) start: *const f32,
    pub(crate) output_stride: usize,
    pub(crate) k_stride: usize,
    /// Distance from each value to one that will be read soon and is brought into L2; zero for none.
    pub(crate) prefetch: usize,
}

/// `sums[output, token] (+)= Σ_k panel[k, token] * value(output, k)`, added to what is there unless `first`.
///
/// # Shapes
/// `panel`: `[depth, width]`, `sums`: `[outputs, width]`, width being one register's lanes or two.
///
/// # Safety
/// `values` must be readable for every output below `outputs` and k below `depth`; `sums` must be
/// writable for `outputs * width` values, and hold them unless `first`.
#[inline(always)]
pub(crate) unsafe fn tiles<S: Simd>(
    simd: S,
    panel: &[f32],
    width: usize,
    values: StridedOperand,
    outputs: usize,
    first: bool,
    sums: *mut f32,
) {
    let depth = panel.len() / width;
    let mut output = 0;
    while output < outputs {
        let count = tile_outputs::<S>(outputs - output);
        // SAFETY: the first output of the tile is below `outputs`.
        let start = unsafe { values.start.add(output * values.output_stride) };
        let tile = Tile {
            panel: panel.as_ptr(),
            values: StridedOperand { start, ..values },
            depth,
            first,
        };
        // SAFETY: depth * width values of the panel exist; sums and values by the caller's promise.
        unsafe {
            let sums = sums.add(output * width);
            if width == S::LANES {
                tile.run_outputs::<S, 1>(simd, count, sums);
            } else {
                assert!(width == panel_tokens::<S>());
                tile.run_outputs::<S, 2>(simd, count, sums);
            }
        }
        output += count;
    }
}

/// The largest compiled tile for `outputs` remaining ones.
#[inline(always)]
pub(crate) fn tile_outputs<S: Simd>(outputs: usize) -> usize {
    let sizes = [12, 8, 6, 4, 2];
    sizes
        .into_iter()
        .find(|size| *size <= outputs && *size <= S::TILE_OUTPUTS)
        .unwrap_or(1)
}

struct Tile {
    panel: *const f32,
    values: StridedOperand,
    depth: usize,
    first: bool,
}

impl Tile {
    /// # Safety
    /// As [`Tile::run`], for `outputs` outputs, which must be one of the compiled sizes.
    #[inline(always)]
    unsafe fn run_outputs<S: Simd, const VECTORS: usize>(
        self,
        simd: S,
        outputs: usize,
        sums: *mut f32,
    ) {
        // SAFETY: passed on from the caller. The sizes above TILE_OUTPUTS are never compiled in.
        unsafe {
            match outputs {
                12 if S::TILE_OUTPUTS >= 12 => self.run::<S, VECTORS, 12>(simd, sums),
                8 if S::TILE_OUTPUTS >= 8 => self.run::<S, VECTORS, 8>(simd, sums),
                6 if S::TILE_OUTPUTS >= 6 => self.run::<S, VECTORS, 6>(simd, sums),
                4 => self.run::<S, VECTORS, 4>(simd, sums),
                2 => self.run::<S, VECTORS, 2>(simd, sums),
                _ => self.run::<S, VECTORS, 1>(simd, sums),
            }
        }
    }

    /// # Safety
    /// The panel must hold `depth * VECTORS * LANES` values, `sums` `OUTPUTS * VECTORS * LANES`, and
    /// `values` must be readable for OUTPUTS outputs and `depth` values of each.
    #[inline(always)]
    unsafe fn run<S: Simd, const VECTORS: usize, const OUTPUTS: usize>(
        self,
        simd: S,
        sums: *mut f32,
    ) {
        let width = VECTORS * S::LANES;
        let Self {
            panel,
            values,
            depth,
            first,
        } = self;
        let mut accumulators = [[simd.splat(0.0); VECTORS]; OUTPUTS];
        // A pointer for every third output: x86 addresses two more by the stride and its double.
        let mut thirds: [*const f32; 4] = std::array::from_fn(|third| {
            opaque(values.start.wrapping_add(3 * third * values.output_stride))
        });
        let mut panel = panel;
        for index in 0..depth / UNROLL {
            if values.prefetch > 0 && index % (LINE / UNROLL) == 0 {
                for output in 0..OUTPUTS {
                    let at = thirds[output / 3].wrapping_add(output % 3 * values.output_stride);
                    simd.prefetch(at.wrapping_add(values.prefetch));
                }
            }
            for k in 0..UNROLL {
                // SAFETY: k stays below what is left of depth.
                unsafe { step(simd, &mut accumulators, panel, thirds, values, k) };
            }
            thirds = [
                opaque(thirds[0].wrapping_add(UNROLL * values.k_stride)),
                opaque(thirds[1].wrapping_add(UNROLL * values.k_stride)),
                opaque(thirds[2].wrapping_add(UNROLL * values.k_stride)),
                opaque(thirds[3].wrapping_add(UNROLL * values.k_stride)),
            ];
            panel = panel.wrapping_add(UNROLL * width);
        }
        for k in 0..depth % UNROLL {
            // SAFETY: k stays below what is left of depth.
            unsafe { step(simd, &mut accumulators, panel, thirds, values, k) };
        }
        for (output, row) in accumulators.iter().enumerate() {
            for (v, accumulator) in row.iter().enumerate() {
                // SAFETY: output < OUTPUTS and v < VECTORS, in bounds by the caller's promise.
                unsafe {
                    let to = sums.add(output * width + v * S::LANES);
                    simd.store(
                        if first {
                            *accumulator
                        } else {
                            simd.add(simd.load(to), *accumulator)
                        },
                        to,
                    );
                }
            }
        }
    }
}

/// Adds the products of step `k` to every accumulator.
///
/// A function and no closure: closures are not always inlined, and lose the target features then.
///
/// # Safety
/// As [`Tile::run`], `k` being below what is left of its depth at `panel` and `thirds`.
#[inline(always)]
#[allow(
    clippy::needless_range_loop,
    reason = "an iterator over registers by value goes through memory"
)]
unsafe fn step<S: Simd, const VECTORS: usize, const OUTPUTS: usize>(
    simd: S,
    accumulators: &mut [[S::Vector; VECTORS]; OUTPUTS],
    panel: *const f32,
    thirds: [*const f32; 4],
    values: StridedOperand,
    k: usize,
) {
    let mut tokens = [simd.splat(0.0); VECTORS];
    for vector in 0..VECTORS {
        // SAFETY: row k of the panel has VECTORS registers.
        tokens[vector] = unsafe { simd.load(panel.add((k * VECTORS + vector) * S::LANES)) };
    }
    for output in 0..OUTPUTS {
        let offset = output % 3 * values.output_stride + k * values.k_stride;
        // SAFETY: output < OUTPUTS and k is below the depth, by the caller's promise.
        let value = simd.splat(unsafe { *thirds[output / 3].add(offset) });
        for vector in 0..VECTORS {
            accumulators[output][vector] =
                simd.fma(tokens[vector], value, accumulators[output][vector]);
        }
    }
}

/// Hides where `pointer` comes from.
///
/// A pointer for every third output leaves the others to x86's scaled addressing; the compiler would
/// rather derive all of them anew, and spills accumulators for it.
#[inline(always)]
pub(crate) fn opaque<T>(mut pointer: *const T) -> *const T {
    // SAFETY: no instruction.
    unsafe {
        std::arch::asm!("/* {} */", inout(reg) pointer, options(pure, readonly, nostack, preserves_flags));
    }
    pointer
}
