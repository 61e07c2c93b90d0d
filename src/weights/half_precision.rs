//! Converts half-precision numbers from bytes and to bytes, some at a time.

use rayon::prelude::*;

/// Numbers that are converted at a time.
const PIECE: usize = 4096;

/// `numbers` in half precision, little-endian.
pub(super) fn narrow<H>(
    numbers: &[f32],
    from_f32: fn(f32) -> H,
    to_le_bytes: fn(H) -> [u8; 2],
) -> Vec<u8> {
    let mut bytes = vec![0; numbers.len() * 2];
    let pieces = bytes
        .par_chunks_mut(2 * PIECE)
        .zip(numbers.par_chunks(PIECE));
    pieces.for_each(|(bytes, numbers)| {
        for (bytes, number) in bytes.as_chunks_mut().0.iter_mut().zip(numbers) {
            *bytes = to_le_bytes(from_f32(*number));
        }
    });
    bytes
}

/// `bytes`, two per number, as f32; in pieces, so that the processor's instruction for slices is
/// used.
pub(super) fn widen<H>(
    bytes: &[u8],
    from_le_bytes: fn([u8; 2]) -> H,
    convert: fn(&[H], &mut [f32]),
) -> Vec<f32> {
    let (pairs, _) = bytes.as_chunks::<2>();
    let mut wide = vec![0.0; pairs.len()];
    let mut half = Vec::with_capacity(PIECE);
    for (pairs, wide) in pairs.chunks(PIECE).zip(wide.chunks_mut(PIECE)) {
        half.clear();
        half.extend(pairs.iter().map(|&pair| from_le_bytes(pair)));
        convert(&half, wide);
    }
    wide
}
