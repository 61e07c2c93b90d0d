//! Every kernel against its f64 oracle, at every level that the machine has, and bit for bit against
//! itself over rows, neighbours and threads.

use super::simd::Level;

mod attention;
mod linear;
mod math;
mod norm;

/// Runs `test` at every level, one test at a time, since the level is the process's.
fn at_each_level(test: impl Fn(Level)) {
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _guard = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    for level in Level::available() {
        Level::force(Some(level));
        test(level);
    }
    Level::force(None);
}

fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("a thread pool")
        .install(work)
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn largest_error(got: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    got.iter()
        .zip(expected)
        .map(|(got, expected)| (f64::from(*got) - expected).abs())
        .fold(0.0, f64::max)
}
