//! Every kernel against its f64 oracle, at every level that the machine has, and bit for bit
//! against itself with other rows, neighbours and numbers of threads.

use std::mem::MaybeUninit;

use super::simd::Level;
use super::threads::SharedOut;

mod attention;
mod integer;
mod linear;
mod math;
mod norm;
mod rows;

/// Runs `test` at every level, one test at a time, because the level is global.
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

/// `rows` in panels of the level in use, by the definition of the layout.
fn to_panels(rows: &[f32], features: usize) -> Vec<f32> {
    let tokens = rows.len() / features;
    let lanes = Level::current().lanes();
    let mut panels = Vec::new();
    for first in (0..tokens).step_by(2 * lanes) {
        let count = (2 * lanes).min(tokens - first);
        for feature in 0..features {
            for lane in 0..count.next_multiple_of(lanes) {
                panels.push(if lane < count {
                    rows[(first + lane) * features + feature]
                } else {
                    0.0
                });
            }
        }
    }
    panels
}

fn to_rows(panels: &[f32], tokens: usize, features: usize) -> Vec<f32> {
    let lanes = Level::current().lanes();
    let mut rows = vec![f32::NAN; tokens * features];
    let mut values = panels.iter();
    for first in (0..tokens).step_by(2 * lanes) {
        let count = (2 * lanes).min(tokens - first);
        for feature in 0..features {
            for lane in 0..count.next_multiple_of(lanes) {
                let value = values.next().expect("a value for every lane");
                if lane < count {
                    rows[(first + lane) * features + feature] = *value;
                }
            }
        }
    }
    assert_eq!(values.next(), None, "no more values than lanes");
    rows
}

/// The output of `kernel`, which must overwrite the NaN in every value.
fn written(tokens: usize, features: usize, kernel: impl FnOnce(SharedOut)) -> Vec<f32> {
    let size = tokens.next_multiple_of(Level::current().lanes()) * features;
    let mut out = vec![MaybeUninit::new(f32::NAN); size];
    kernel(SharedOut::new(&mut out));
    // SAFETY: every value was initialized.
    let out: Vec<f32> = out
        .into_iter()
        .map(|it| unsafe { it.assume_init() })
        .collect();
    assert!(out.iter().all(|value| !value.is_nan()), "all is written");
    out
}
