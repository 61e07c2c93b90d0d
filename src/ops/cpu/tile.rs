//! The register tile that linear and attention share.
//!
//! Lanes run along the tokens of a panel. The other operand is read in place, one value at a time,
//! and broadcast to all tokens. So weights need neither a transposed copy nor alignment (four-byte
//! loads never straddle a cache line), and the order of summation, k upwards from zero, is the same
//! for every number of tokens.

use super::panel::panel_tokens;
use super::simd::Simd;

/// Steps of k between two updates of the pointers.
const UNROLL: usize = 4;

/// f32 values in a cache line.
const LINE: usize = 16;

/// Which values of an operand are adjacent.
///
/// A type parameter, so that the stride 1 is a compile-time constant: with both strides loaded at
/// run time, the compiler computed the addresses of four steps first and spilled the sums.
/// Attention over 512 tokens took 1.3 times as long (`perf record`, one core of a Zen 4).
pub(crate) trait Strides: Copy {
    /// The distance of `value(output, k)` from the first value.
    fn offset(self, output: usize, k: usize) -> usize;
}

/// An output's values are adjacent; the field is the distance to the next output's.
#[derive(Clone, Copy)]
pub(crate) struct OutputStride(pub(crate) usize);

impl Strides for OutputStride {
    #[inline(always)]
    fn offset(self, output: usize, k: usize) -> usize {
        output * self.0 + k
    }
}

/// All outputs' values of one k are adjacent; the field is the distance to the next k's.
#[derive(Clone, Copy)]
pub(crate) struct KStride(pub(crate) usize);

impl Strides for KStride {
    #[inline(always)]
    fn offset(self, output: usize, k: usize) -> usize {
        output + k * self.0
    }
}

/// The right-hand operand.
#[derive(Clone, Copy)]
pub(crate) struct StridedOperand<T> {
    pub(crate) start: *const f32,
    pub(crate) strides: T,
    /// Distance from each value to one that is prefetched into L2; zero for none.
    pub(crate) prefetch: usize,
}

/// Some steps of k, whose values are stored together.
#[derive(Clone, Copy)]
pub(crate) struct TileSegment<T> {
    pub(crate) operand: StridedOperand<T>,
    /// Steps of k.
    pub(crate) depth: usize,
}

/// `sums[output, token] (+)= Σ_k panel[k, token] * value(output, k)`, added to what is there unless
/// `first`. The segments' steps of k follow each other.
///
/// # Shapes
/// `panel`: `[depth of all segments, width]`, `sums`: `[outputs, width]`, width being one
/// register's lanes or two.
///
/// # Safety
/// The operands must be readable for every output below `outputs` and k below their `depth`; `sums`
/// must be writable for `outputs * width` values, and hold them unless `first`.
#[inline(always)]
pub(crate) unsafe fn tiles<S: Simd, T: Strides>(
    simd: S,
    panel: &[f32],
    width: usize,
    segments: &[TileSegment<T>],
    outputs: usize,
    first: bool,
    sums: *mut f32,
) {
    let depth: usize = segments.iter().map(|segment| segment.depth).sum();
    assert!(
        panel.len() == depth * width,
        "a row of the panel for every k"
    );
    let mut output = 0;
    while output < outputs {
        let count = tile_outputs(outputs - output, S::TILE_OUTPUTS);
        let tile = Tile {
            panel: panel.as_ptr(),
            segments,
            output,
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

/// The largest compiled tile for `outputs` remaining ones, of `most` outputs at most.
#[inline(always)]
pub(crate) fn tile_outputs(outputs: usize, most: usize) -> usize {
    let sizes = [12, 8, 6, 4, 2];
    sizes
        .into_iter()
        .find(|size| *size <= outputs && *size <= most)
        .unwrap_or(1)
}

struct Tile<'a, T> {
    panel: *const f32,
    segments: &'a [TileSegment<T>],
    /// The tile's first output.
    output: usize,
    first: bool,
}

impl<T: Strides> Tile<'_, T> {
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
    /// The panel must hold `VECTORS * LANES` values for every k, `sums` `OUTPUTS * VECTORS *
    /// LANES`, and the operands must be readable for OUTPUTS outputs from the first one on.
    #[inline(always)]
    unsafe fn run<S: Simd, const VECTORS: usize, const OUTPUTS: usize>(
        self,
        simd: S,
        sums: *mut f32,
    ) {
        let width = VECTORS * S::LANES;
        let mut accumulators = [[simd.splat(0.0); VECTORS]; OUTPUTS];
        let mut panel = self.panel;
        for segment in self.segments {
            // SAFETY: passed on from the caller.
            unsafe { accumulate(simd, &mut accumulators, panel, *segment, self.output) };
            panel = panel.wrapping_add(segment.depth * width);
        }
        for (output, row) in accumulators.iter().enumerate() {
            for (v, accumulator) in row.iter().enumerate() {
                // SAFETY: output < OUTPUTS and v < VECTORS, in bounds by the caller's promise.
                unsafe {
                    let to = sums.add(output * width + v * S::LANES);
                    simd.store(
                        if self.first {
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

/// Adds the products of all steps of a segment, in order, for the outputs from `output` on.
///
/// # Safety
/// As [`Tile::run`], for this segment and its rows at `panel`.
#[inline(always)]
unsafe fn accumulate<S: Simd, T: Strides, const VECTORS: usize, const OUTPUTS: usize>(
    simd: S,
    accumulators: &mut [[S::Vector; VECTORS]; OUTPUTS],
    mut panel: *const f32,
    segment: TileSegment<T>,
    output: usize,
) {
    let TileSegment { operand, depth } = segment;
    let strides = operand.strides;
    let start = operand.start.wrapping_add(strides.offset(output, 0));
    // A pointer for every third output: x86 reaches the other two by adding the stride once or
    // twice.
    let mut thirds: [*const f32; 4] =
        std::array::from_fn(|third| opaque(start.wrapping_add(strides.offset(3 * third, 0))));
    for index in 0..depth / UNROLL {
        if operand.prefetch > 0 && index % (LINE / UNROLL) == 0 {
            for output in 0..OUTPUTS {
                let at = thirds[output / 3].wrapping_add(strides.offset(output % 3, 0));
                simd.prefetch(at.wrapping_add(operand.prefetch));
            }
        }
        for k in 0..UNROLL {
            // SAFETY: k stays below what is left of depth.
            unsafe { step(simd, accumulators, panel, thirds, strides, k) };
        }
        thirds = [
            opaque(thirds[0].wrapping_add(strides.offset(0, UNROLL))),
            opaque(thirds[1].wrapping_add(strides.offset(0, UNROLL))),
            opaque(thirds[2].wrapping_add(strides.offset(0, UNROLL))),
            opaque(thirds[3].wrapping_add(strides.offset(0, UNROLL))),
        ];
        panel = panel.wrapping_add(UNROLL * VECTORS * S::LANES);
    }
    for k in 0..depth % UNROLL {
        // SAFETY: k stays below what is left of depth.
        unsafe { step(simd, accumulators, panel, thirds, strides, k) };
    }
}

/// Adds the products of step `k` to every accumulator.
///
/// A function rather than a closure: a closure that is not inlined loses the target features.
///
/// # Safety
/// As [`accumulate`]; `panel` and `thirds` must have more than `k` steps left.
#[inline(always)]
#[allow(
    clippy::needless_range_loop,
    reason = "an iterator over registers by value goes through memory"
)]
unsafe fn step<S: Simd, T: Strides, const VECTORS: usize, const OUTPUTS: usize>(
    simd: S,
    accumulators: &mut [[S::Vector; VECTORS]; OUTPUTS],
    panel: *const f32,
    thirds: [*const f32; 4],
    strides: T,
    k: usize,
) {
    let mut tokens = [simd.splat(0.0); VECTORS];
    for vector in 0..VECTORS {
        // SAFETY: row k of the panel has VECTORS registers.
        tokens[vector] = unsafe { simd.load(panel.add((k * VECTORS + vector) * S::LANES)) };
    }
    for output in 0..OUTPUTS {
        let offset = strides.offset(output % 3, k);
        // SAFETY: output < OUTPUTS and k is below the depth, by the caller's promise.
        let value = simd.splat(unsafe { *thirds[output / 3].add(offset) });
        for vector in 0..VECTORS {
            accumulators[output][vector] =
                simd.fma(tokens[vector], value, accumulators[output][vector]);
        }
    }
}

/// Hides the origin of `pointer` from the compiler.
///
/// With a pointer for every third output, x86's scaled addressing reaches the others. Otherwise the
/// compiler computes all the pointers and spills accumulators.
#[inline(always)]
pub(crate) fn opaque<T>(mut pointer: *const T) -> *const T {
    // SAFETY: the asm block contains no instructions.
    unsafe {
        std::arch::asm!(
            "/* {} */",
            inout(reg) pointer,
            options(pure, readonly, nostack, preserves_flags)
        );
    }
    pointer
}
