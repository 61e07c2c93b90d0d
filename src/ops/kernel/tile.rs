//! The register tile that linear and attention share, and the panels it reads.
//!
//! Lanes run along tokens. A panel holds up to two registers' worth of tokens, transposed to
//! `[k, tokens]`; the other operand is read where it lies, one value at a time, and broadcast to all
//! tokens. So weights need neither a transposed copy nor alignment (four-byte loads never straddle a
//! cache line), and one order of summation, k upwards from zero, serves every number of tokens.

use super::simd::Simd;

/// Registers of tokens in a full panel.
const PANEL_VECTORS: usize = 2;

/// Steps of k between two updates of the pointers.
const UNROLL: usize = 4;

/// f32 values in a cache line.
const LINE: usize = 16;

/// Tokens in a full panel of the level.
pub(crate) const fn panel_tokens<S: Simd>() -> usize {
    PANEL_VECTORS * S::LANES
}

/// Tokens that a panel of `tokens` is padded to: one register's worth or two.
pub(crate) const fn padded_tokens<S: Simd>(tokens: usize) -> usize {
    tokens.div_ceil(S::LANES) * S::LANES
}

/// The right-hand operand: `value(output, k)` lies at `start + output * output_stride + k * k_stride`.
#[derive(Clone, Copy)]
pub(crate) struct Values {
    pub(crate) start: *const f32,
    pub(crate) output_stride: usize,
    pub(crate) k_stride: usize,
    /// Values from each one to one that will be read soon and is brought into L2; zero for none.
    pub(crate) prefetch: usize,
}

/// `sums[output, token] (+)= Σ_k panel[k, token] * value(output, k)`, added to what is there unless `first`.
///
/// # Shapes
/// `panel`: `[depth, width]`, `sums`: `[outputs, width]`, width being one register's lanes or two.
///
/// # Safety
/// `values` must be readable for every output below `outputs` and k below `depth`.
#[inline(always)]
pub(crate) unsafe fn tiles<S: Simd>(
    simd: S,
    panel: &[f32],
    width: usize,
    values: Values,
    outputs: usize,
    first: bool,
    sums: &mut [f32],
) {
    let depth = panel.len() / width;
    assert!(sums.len() >= outputs * width);
    let mut output = 0;
    while output < outputs {
        let count = tile_outputs::<S>(outputs - output);
        // SAFETY: the first output of the tile is below `outputs`.
        let start = unsafe { values.start.add(output * values.output_stride) };
        let tile = Tile {
            panel: panel.as_ptr(),
            values: Values { start, ..values },
            depth,
            first,
        };
        let sums = &mut sums[output * width..][..count * width];
        // SAFETY: depth * width values of the panel and count * width sums exist; values by the caller's promise.
        unsafe {
            if width == S::LANES {
                tile.run_outputs::<S, 1>(simd, count, sums.as_mut_ptr());
            } else {
                assert!(width == panel_tokens::<S>());
                tile.run_outputs::<S, 2>(simd, count, sums.as_mut_ptr());
            }
        }
        output += count;
    }
}

/// The largest compiled tile for `outputs` remaining ones.
#[inline(always)]
fn tile_outputs<S: Simd>(outputs: usize) -> usize {
    let sizes = [12, 8, 6, 4, 2];
    sizes
        .into_iter()
        .find(|size| *size <= outputs && *size <= S::TILE_OUTPUTS)
        .unwrap_or(1)
}

struct Tile {
    panel: *const f32,
    values: Values,
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
        let mut step = |panel: *const f32, thirds: [*const f32; 4], k: usize| {
            // SAFETY: the caller stays below depth, output < OUTPUTS and v < VECTORS.
            unsafe {
                let tokens: [S::Vector; VECTORS] =
                    std::array::from_fn(|v| simd.load(panel.add(k * width + v * S::LANES)));
                for (output, row) in accumulators.iter_mut().enumerate() {
                    let at = thirds[output / 3]
                        .add(output % 3 * values.output_stride + k * values.k_stride);
                    let value = simd.splat(*at);
                    for (accumulator, tokens) in row.iter_mut().zip(tokens) {
                        *accumulator = simd.fma(tokens, value, *accumulator);
                    }
                }
            }
        };
        for index in 0..depth / UNROLL {
            if values.prefetch > 0 && index % (LINE / UNROLL) == 0 {
                for output in 0..OUTPUTS {
                    let at = thirds[output / 3].wrapping_add(output % 3 * values.output_stride);
                    simd.prefetch(at.wrapping_add(values.prefetch));
                }
            }
            for k in 0..UNROLL {
                step(panel, thirds, k);
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
            step(panel, thirds, k);
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

/// Hides where `pointer` comes from.
///
/// A pointer for every third output leaves the others to x86's scaled addressing; the compiler would
/// rather derive all of them anew, and spills accumulators for it.
#[inline(always)]
fn opaque(mut pointer: *const f32) -> *const f32 {
    // SAFETY: no instruction.
    unsafe {
        std::arch::asm!("/* {} */", inout(reg) pointer, options(pure, nomem, nostack, preserves_flags))
    }
    pointer
}

/// Transposes `rows` rows of `columns` values, `stride` apart, into a panel, zero where it has no row.
///
/// # Shapes
/// `from`: `[rows, stride]`, of which `columns` are read; `panel`: `[columns, padded_tokens(rows)]`
#[inline(always)]
pub(crate) fn pack<S: Simd>(
    simd: S,
    from: &[f32],
    stride: usize,
    rows: usize,
    columns: usize,
    panel: &mut [f32],
) {
    let width = padded_tokens::<S>(rows);
    assert!(rows > 0 && columns <= stride && from.len() >= (rows - 1) * stride + columns);
    assert!(panel.len() >= columns * width);
    for first in (0..rows).step_by(S::LANES) {
        let full = rows - first >= S::LANES;
        let whole = if full {
            columns / S::LANES * S::LANES
        } else {
            0
        };
        for column in (0..whole).step_by(S::LANES) {
            // SAFETY: LANES rows from `first` and columns from `column` exist, by the assertions.
            unsafe {
                let at = from.as_ptr().add(first * stride + column);
                simd.transpose(
                    at,
                    stride,
                    panel.as_mut_ptr().add(column * width + first),
                    width,
                );
            }
        }
        for row in first..first + S::LANES {
            for column in whole..columns {
                panel[column * width + row] = if row < rows {
                    from[row * stride + column]
                } else {
                    0.0
                };
            }
        }
    }
}

/// Where [`unpack`] writes: row `token`, column `output` lies at `start + token * stride + output`.
#[derive(Clone, Copy)]
pub(crate) struct Rows {
    pub(crate) start: *mut f32,
    pub(crate) stride: usize,
}

/// Transposes the sums of a tile to rows of tokens.
///
/// # Shapes
/// `sums`: `[outputs, padded_tokens(tokens)]`
///
/// # Safety
/// `to` must be writable for `outputs` values of each of `tokens` rows.
#[inline(always)]
pub(crate) unsafe fn unpack<S: Simd>(
    simd: S,
    sums: &[f32],
    tokens: usize,
    outputs: usize,
    to: Rows,
) {
    let width = padded_tokens::<S>(tokens);
    assert!(sums.len() >= outputs * width);
    for first in (0..tokens).step_by(S::LANES) {
        let full = tokens - first >= S::LANES;
        let whole = if full {
            outputs / S::LANES * S::LANES
        } else {
            0
        };
        for output in (0..whole).step_by(S::LANES) {
            // SAFETY: LANES outputs from `output` and tokens from `first` exist on both sides.
            unsafe {
                let from = sums.as_ptr().add(output * width + first);
                simd.transpose(
                    from,
                    width,
                    to.start.add(first * to.stride + output),
                    to.stride,
                );
            }
        }
        for token in first..tokens.min(first + S::LANES) {
            for output in whole..outputs {
                // SAFETY: token < tokens and output < outputs.
                unsafe { *to.start.add(token * to.stride + output) = sums[output * width + token] }
            }
        }
    }
}
