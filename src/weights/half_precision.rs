//! Converts half-precision values from bytes and to bytes, in chunks.

use rayon::prelude::*;

/// Values that are converted at a time.
const CHUNK: usize = 4096;

/// `values` in half precision, little-endian.
pub(super) fn narrow<H>(
    values: &[f32],
    from_f32: fn(f32) -> H,
    to_le_bytes: fn(H) -> [u8; 2],
) -> Vec<u8> {
    let mut bytes = vec![0; values.len() * 2];
    let chunks = bytes
        .par_chunks_mut(2 * CHUNK)
        .zip(values.par_chunks(CHUNK));
    chunks.for_each(|(bytes, values)| {
        for (bytes, value) in bytes.as_chunks_mut().0.iter_mut().zip(values) {
            *bytes = to_le_bytes(from_f32(*value));
        }
    });
    bytes
}

/// `bytes`, two per value, as f32; in chunks, because `half` uses the processor's instruction only
/// for slices.
pub(super) fn widen<H>(
    bytes: &[u8],
    from_le_bytes: fn([u8; 2]) -> H,
    convert: fn(&[H], &mut [f32]),
) -> Vec<f32> {
    let (pairs, _) = bytes.as_chunks::<2>();
    let mut wide = vec![0.0; pairs.len()];
    let mut half = Vec::with_capacity(CHUNK);
    for (pairs, wide) in pairs.chunks(CHUNK).zip(wide.chunks_mut(CHUNK)) {
        half.clear();
        half.extend(pairs.iter().map(|&pair| from_le_bytes(pair)));
        convert(&half, wide);
    }
    wide
}
