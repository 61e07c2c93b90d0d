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
    let tile = Tile {
        panel: panel.as_ptr(),
        segments,
        first,
        sums,
    };
    // SAFETY: depth * width values of the panel exist; sums and values by the caller's promise.
    unsafe { for_each_tile(simd, tile, outputs, width) }
}

/// Work on one register tile, compiled for each size.
pub(crate) trait TileKernel<S: Simd>: Copy {
    /// Does the work for OUTPUTS outputs from `output` on and VECTORS registers of tokens.
    ///
    /// # Safety
    /// The implementation's operands must have these outputs and registers.
    unsafe fn run<const VECTORS: usize, const OUTPUTS: usize>(self, simd: S, output: usize);
}

/// Runs `tile` for `outputs` outputs and a panel of `width` lanes.
///
/// # Safety
/// The tile's operands must have `outputs` outputs and `width` lanes.
#[inline(always)]
pub(crate) unsafe fn for_each_tile<S: Simd, T: TileKernel<S>>(
    simd: S,
    tile: T,
    outputs: usize,
    width: usize,
) {
    let mut output = 0;
    while output < outputs {
        let count = tile_outputs(outputs - output, S::TILE_OUTPUTS);
        // SAFETY: passed on from the caller.
        unsafe {
            if width == S::LANES {
                run_outputs::<S, T, 1>(simd, tile, output, count);
            } else {
                assert!(width == panel_tokens::<S>());
                run_outputs::<S, T, 2>(simd, tile, output, count);
            }
        }
        output += count;
    }
}

/// # Safety
/// As [`TileKernel::run`], for `outputs` outputs, which must be one of the compiled sizes.
#[inline(always)]
unsafe fn run_outputs<S: Simd, T: TileKernel<S>, const VECTORS: usize>(
    simd: S,
    tile: T,
    output: usize,
    outputs: usize,
) {
    // SAFETY: passed on from the caller. The sizes above TILE_OUTPUTS are never compiled in.
    unsafe {
        match outputs {
            12 if S::TILE_OUTPUTS >= 12 => tile.run::<VECTORS, 12>(simd, output),
            8 if S::TILE_OUTPUTS >= 8 => tile.run::<VECTORS, 8>(simd, output),
            6 if S::TILE_OUTPUTS >= 6 => tile.run::<VECTORS, 6>(simd, output),
            4 => tile.run::<VECTORS, 4>(simd, output),
            2 => tile.run::<VECTORS, 2>(simd, output),
            _ => tile.run::<VECTORS, 1>(simd, output),
        }
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

#[derive(Clone, Copy)]
struct Tile<'a, T> {
    /// `[depth of all segments, width]`
    panel: *const f32,
    segments: &'a [TileSegment<T>],
    first: bool,
    /// `[outputs, width]`
    sums: *mut f32,
}

impl<S: Simd, T: Strides> TileKernel<S> for Tile<'_, T> {
    #[inline(always)]
    unsafe fn run<const VECTORS: usize, const OUTPUTS: usize>(self, simd: S, output: usize) {
        let width = VECTORS * S::LANES;
        let mut accumulators = [[simd.splat(0.0); VECTORS]; OUTPUTS];
        let mut panel = self.panel;
        for segment in self.segments {
            // SAFETY: passed on from the caller.
            unsafe { accumulate(simd, &mut accumulators, panel, *segment, output) };
            panel = panel.wrapping_add(segment.depth * width);
        }
        for (output, row) in (output..).zip(&accumulators) {
            for (v, accumulator) in row.iter().enumerate() {
                // SAFETY: the output and the register exist, by the caller's promise.
                unsafe {
                    let to = self.sums.add(output * width + v * S::LANES);
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
/// As [`TileKernel::run`], for this segment and its rows at `panel`.
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
