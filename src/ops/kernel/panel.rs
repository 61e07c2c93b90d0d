//! Panels: tokens side by side in lanes.
//!
//! A panel holds up to two registers' worth of tokens, transposed to `[k, tokens]` and padded with
//! zero to whole registers.

use super::simd::Simd;

/// Registers of tokens in a full panel.
const PANEL_VECTORS: usize = 2;

/// Tokens in a full panel of the level.
pub(crate) const fn panel_tokens<S: Simd>() -> usize {
    PANEL_VECTORS * S::LANES
}

/// Tokens that a panel of `tokens` is padded to: one register's worth or two.
pub(crate) const fn padded_tokens<S: Simd>(tokens: usize) -> usize {
    tokens.div_ceil(S::LANES) * S::LANES
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
pub(crate) struct OutRows {
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
    to: OutRows,
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
