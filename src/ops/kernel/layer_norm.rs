//! Layer norm of a sum: what follows both halves of a BERT layer.
//!
//! The source is "Layer Normalization" (Ba et al. 2016), `torch.nn.LayerNorm`: biased variance.

use rayon::prelude::*;

use super::simd::{Kernel, Level, Simd, dispatch};

/// Values below which a second thread costs more than it takes over: about 10 µs of work.
const MIN_PARALLEL: usize = 32 * 1024;

/// Rows that a thread takes at a time.
const CHUNK_ROWS: usize = 16;

/// Scale, shift and epsilon of a layer norm.
#[derive(Clone, Copy)]
pub(crate) struct Norm<'a> {
    /// `LayerNorm.weight`, `[hidden]`
    pub(crate) gamma: &'a [f32],
    /// `LayerNorm.bias`, `[hidden]`
    pub(crate) beta: &'a [f32],
    /// Added to the variance.
    pub(crate) eps: f32,
}

/// Writes `norm(x + residual)`, or `norm(x)` without a residual.
///
/// # Shapes
/// `x`, `residual`, `out`: `[rows, hidden]`
///
/// # Panics
/// If a slice has not the size that its shape asks for.
pub(crate) fn add_layer_norm(
    x: &[f32],
    residual: Option<&[f32]>,
    norm: Norm<'_>,
    hidden: usize,
    out: &mut [f32],
) {
    assert!(
        hidden > 0 && norm.gamma.len() == hidden && norm.beta.len() == hidden,
        "gamma, beta are [hidden]"
    );
    assert!(
        x.len() == out.len() && x.len().is_multiple_of(hidden),
        "x and out are [rows, hidden]"
    );
    assert!(
        residual.is_none_or(|residual| residual.len() == x.len()),
        "residual is [rows, hidden]"
    );
    let level = Level::current();
    for_each_rows(hidden, out, |first, out| {
        let range = first..first + out.len();
        let terms = [
            &x[range.clone()],
            residual.map_or(&[][..], |residual| &residual[range]),
        ];
        dispatch(
            level,
            AddNorm {
                terms,
                norm,
                hidden,
                out,
            },
        );
    });
}

/// Calls `work(first value, rows)` for all rows of `out`, some at a time, in parallel if it pays.
pub(crate) fn for_each_rows(
    hidden: usize,
    out: &mut [f32],
    work: impl Fn(usize, &mut [f32]) + Sync,
) {
    if out.len() < MIN_PARALLEL || rayon::current_num_threads() == 1 {
        return work(0, out);
    }
    let size = CHUNK_ROWS * hidden;
    out.par_chunks_mut(size)
        .enumerate()
        .for_each(|(chunk, out)| work(chunk * size, out));
}

struct AddNorm<'a> {
    /// `x` and the residual, which is empty if there is none.
    terms: [&'a [f32]; 2],
    norm: Norm<'a>,
    hidden: usize,
    out: &'a mut [f32],
}

impl Kernel for AddNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let [x, residual] = self.terms;
        for (row, out) in self.out.chunks_exact_mut(self.hidden).enumerate() {
            let range = row * self.hidden..(row + 1) * self.hidden;
            let x = &x[range.clone()];
            if residual.is_empty() {
                out.copy_from_slice(x);
            } else {
                add(simd, x, &residual[range], out);
            }
            normalize(simd, self.norm, out);
        }
    }
}

/// `out = a + b`
#[inline(always)]
pub(crate) fn add<S: Simd>(simd: S, a: &[f32], b: &[f32], out: &mut [f32]) {
    for ((a, b), out) in a
        .chunks(S::LANES)
        .zip(b.chunks(S::LANES))
        .zip(out.chunks_mut(S::LANES))
    {
        simd.store_slice(simd.add(simd.load_slice(a), simd.load_slice(b)), out);
    }
}

/// Normalizes one row in place.
///
/// The first mean is only a guess to subtract; what is left of it in the second pass corrects mean and
/// variance, so both are exact to about one rounding whatever the row's offset.
#[inline(always)]
pub(crate) fn normalize<S: Simd>(simd: S, norm: Norm<'_>, row: &mut [f32]) {
    let size = row.len() as f64;
    let guess = (f64::from(lane_sum(simd, row, |value, _| value)) / size) as f32;
    let guess = simd.splat(guess);
    let left = f64::from(lane_sum(simd, row, |value, used| {
        simd.mul(simd.sub(value, guess), used)
    })) / size;
    let squares = lane_sum(simd, row, |value, used| {
        let distance = simd.mul(simd.sub(value, guess), used);
        simd.mul(distance, distance)
    });
    let variance = (f64::from(squares) / size - left * left).max(0.0);
    let scale = simd.splat((1.0 / (variance + f64::from(norm.eps)).sqrt()) as f32);
    let left = simd.splat(left as f32);
    let parameters = norm.gamma.chunks(S::LANES).zip(norm.beta.chunks(S::LANES));
    for (values, (gamma, beta)) in row.chunks_mut(S::LANES).zip(parameters) {
        let distance = simd.sub(simd.sub(simd.load_slice(values), guess), left);
        let normal = simd.mul(distance, scale);
        simd.store_slice(
            simd.fma(normal, simd.load_slice(gamma), simd.load_slice(beta)),
            values,
        );
    }
}

/// The sum of `term(values, used)`, `used` being one in the lanes that hold a value, zero in the others.
#[inline(always)]
fn lane_sum<S: Simd>(
    simd: S,
    row: &[f32],
    term: impl Fn(S::Vector, S::Vector) -> S::Vector,
) -> f32 {
    let mut sums = [simd.splat(0.0); 4];
    let whole = row.len() / S::LANES * S::LANES;
    for (index, values) in row[..whole].chunks_exact(S::LANES).enumerate() {
        sums[index % 4] = simd.add(
            sums[index % 4],
            term(simd.load_slice(values), simd.splat(1.0)),
        );
    }
    if whole < row.len() {
        let ones = [1.0; 16];
        let used = simd.load_slice(&ones[..row.len() - whole]);
        sums[0] = simd.add(sums[0], term(simd.load_slice(&row[whole..]), used));
    }
    simd.sum(simd.add(simd.add(sums[0], sums[1]), simd.add(sums[2], sums[3])))
}
