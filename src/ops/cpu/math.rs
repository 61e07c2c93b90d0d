//! Elementary functions on lanes, and the activations.
//!
//! The polynomials are our weighted minimax fits (Lawson's iteration, in float64); the errors named
//! here were measured against float64 and are asserted by the tests. The bound is the first
//! argument of every `min` and `max`, so that NaN stays NaN and the caller sees it.

use super::simd::{EXPONENT_MAGIC, Simd};

/// `coefficients[0] + x * (coefficients[1] + x * ...)`
#[inline(always)]
fn polynomial<S: Simd>(simd: S, x: S::Vector, coefficients: &[f32]) -> S::Vector {
    let mut value = simd.splat(coefficients[coefficients.len() - 1]);
    for coefficient in coefficients[..coefficients.len() - 1].iter().rev() {
        value = simd.fma(value, x, simd.splat(*coefficient));
    }
    value
}

/// `2^fraction` for |fraction| <= 0.5, relative error 2e-9 before rounding.
const EXP2: [f32; 7] = [
    1.0,
    std::f32::consts::LN_2,
    0.240_226_48,
    0.055_503_324,
    0.009_618_437,
    0.001_339_888,
    0.000_153_533_74,
];

/// `e^rest` for |rest| <= ln(2)/2, relative error 3e-9 before rounding.
const EXP: [f32; 7] = [
    1.0,
    1.0,
    0.499_999_94,
    0.166_665_21,
    0.041_668_39,
    0.008_368_738,
    0.001_381_456_7,
];

/// `-log2(1 - Φ(t))` for t in [0, 6.5]; the error of t * (1 - Φ(t)) is below 3.4e-8.
const MINUS_LOG2_TAIL: [f32; 11] = [
    1.0,
    1.151_109_1,
    0.459_182_2,
    0.052_552_857,
    -0.007_107_216_4,
    0.000_129_610_23,
    0.000_217_232_43,
    -5.823_218_8e-5,
    7.815_277e-6,
    -5.624_648e-7,
    1.718_448_8e-8,
];

/// `(tanh(x) - x) / x^3` in x², for |x| <= 0.625; the relative error of tanh is 7e-9 before
/// rounding.
const TANH_SMALL: [f32; 5] = [
    -0.333_332_6,
    0.133_308_3,
    -0.053_688_01,
    0.020_469_37,
    -0.005_515_109,
];

/// `e^x` for x <= 88, relative error below 1.3e-7; below -87 it stays at `e^-87` (1.6e-38).
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    // ln(2) in two parts, the first with so few bits that its multiples are exact.
    const MINUS_LN_2_HIGH: f32 = -0.693_359_4;
    const MINUS_LN_2_LOW: f32 = 2.121_944_4e-4;
    let magic = simd.splat(EXPONENT_MAGIC);
    let x = simd.max(simd.splat(-87.0), x);
    let biased = simd.fma(x, simd.splat(std::f32::consts::LOG2_E), magic);
    let exponent = simd.sub(biased, magic);
    let high = simd.fma(exponent, simd.splat(MINUS_LN_2_HIGH), x);
    let rest = simd.fma(exponent, simd.splat(MINUS_LN_2_LOW), high);
    simd.scale(polynomial(simd, rest, &EXP), biased)
}

/// `2^-x` for x in [0, 125].
#[inline(always)]
pub(crate) fn exp2_minus<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    let magic = simd.splat(EXPONENT_MAGIC);
    let biased = simd.sub(magic, x);
    let fraction = simd.sub(simd.sub(magic, biased), x);
    simd.scale(polynomial(simd, fraction, &EXP2), biased)
}

/// `x * Φ(x)`, error below 4e-8 plus half a unit in the last place.
///
/// As `max(x, 0) - |x| * (1 - Φ(|x|))`, so that nothing cancels on the negative side; the tail is a
/// power of two of a polynomial. Below -6.5 it stays at the value there, -2.6e-10.
#[inline(always)]
pub(crate) fn gelu<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    let t = simd.min(simd.splat(6.5), simd.abs(x));
    let tail = exp2_minus(simd, polynomial(simd, t, &MINUS_LOG2_TAIL));
    let positive = simd.max(simd.splat(0.0), x);
    simd.sub(positive, simd.mul(t, tail))
}

/// `0.5 * x * (1 + tanh(√(2/π) * (x + 0.044715 * x³)))`, as `x / (1 + e^-2u)`.
#[inline(always)]
pub(crate) fn gelu_tanh<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    const MINUS_TWO_ROOT: f32 = -1.595_769_2;
    let square = simd.mul(x, x);
    let inner = simd.fma(square, simd.splat(0.044_715), simd.splat(1.0));
    let exponent = simd.mul(simd.mul(x, simd.splat(MINUS_TWO_ROOT)), inner);
    let power = exp(simd, simd.min(simd.splat(87.0), exponent));
    simd.div(x, simd.add(power, simd.splat(1.0)))
}

#[inline(always)]
pub(crate) fn tanh<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    let one = simd.splat(1.0);
    let size = simd.min(simd.splat(10.0), simd.abs(x));
    let power = exp(simd, simd.add(size, size));
    let large = simd.sub(one, simd.div(simd.splat(2.0), simd.add(power, one)));
    let signed = simd.select_less(x, simd.splat(0.0), simd.sub(simd.splat(0.0), large), large);
    let square = simd.mul(x, x);
    let small = simd.fma(
        simd.mul(square, x),
        polynomial(simd, square, &TANH_SMALL),
        x,
    );
    simd.select_less(size, simd.splat(0.625), small, signed)
}
