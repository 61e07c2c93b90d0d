//! The elementary functions.

use super::super::simd::{Kernel, Level, Simd, dispatch};
use super::super::{math, oracle};
use super::at_each_level;

/// A function of [`math`], by name, over a slice.
struct Apply<'a>(&'a str, &'a mut [f32]);

impl Kernel for Apply<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for values in self.1.chunks_mut(S::LANES) {
            let x = simd.load_slice(values);
            let y = match self.0 {
                "exp" => math::exp(simd, x),
                "gelu" => math::gelu(simd, x),
                "gelu_tanh" => math::gelu_tanh(simd, x),
                _ => math::tanh(simd, x),
            };
            simd.store_slice(y, values);
        }
    }
}

/// Largest absolute and relative errors over [low, high].
fn errors(
    level: Level,
    name: &str,
    low: f32,
    high: f32,
    oracle: impl Fn(f64) -> f64,
) -> (f64, f64) {
    let count = 200_003;
    let x: Vec<f32> = (0..count)
        .map(|i| low + (high - low) * i as f32 / (count - 1) as f32)
        .collect();
    let mut y = x.clone();
    dispatch(level, Apply(name, &mut y));
    let mut errors = (0.0_f64, 0.0_f64);
    for (x, y) in x.into_iter().zip(y) {
        let expected = oracle(f64::from(x));
        let error = (f64::from(y) - expected).abs();
        errors.0 = errors.0.max(error);
        if expected != 0.0 {
            errors.1 = errors.1.max(error / expected.abs());
        }
    }
    eprintln!(
        "{level:?} {name} [{low}, {high}]: absolute {:.2e}, relative {:.2e}",
        errors.0, errors.1
    );
    errors
}

#[test]
fn functions_keep_the_errors_that_they_promise() {
    at_each_level(|level| {
        // Without FMA each step of a polynomial rounds twice.
        let slack = if level == Level::Portable { 2.0 } else { 1.0 };
        assert!(errors(level, "exp", -87.0, 0.0, f64::exp).1 < 1.3e-7 * slack);
        assert!(errors(level, "gelu", -4.0, 1.0, oracle::gelu).0 < 8e-8 * slack);
        assert!(errors(level, "gelu", 1.0, 20.0, oracle::gelu).1 < 1e-7 * slack);
        assert!(errors(level, "gelu", -20.0, -4.0, oracle::gelu).0 < 1e-9);
        assert!(errors(level, "gelu_tanh", -12.0, 1.0, oracle::gelu_tanh).0 < 2e-7 * slack);
        assert!(errors(level, "gelu_tanh", 1.0, 30.0, oracle::gelu_tanh).1 < 3e-7 * slack);
        assert!(errors(level, "tanh", -20.0, 20.0, f64::tanh).1 < 2e-7 * slack);
    });
}
