//! Pooling and merging: many rows become one.
//!
//! Sums are taken in f64 and rounded once. The definitions are those of `Pooling` and `Normalize`
//! in sentence-transformers.

use super::options::{LayerMerge, WordPooling};
use crate::checkpoint::PoolingMode;

/// Pools the rows of a text, which may come a few at a time. The vectors of several modes lie side
/// by side.
#[derive(Debug)]
pub(super) struct Pool {
    /// How many of the next rows are not pooled.
    skipped: usize,
    hidden: usize,
    modes: Vec<ModePool>,
}

/// What one mode keeps of the rows.
#[derive(Debug)]
enum ModePool {
    /// `[hidden]`, empty before the first row.
    First(Vec<f32>),
    /// `[hidden]`, empty before the first row.
    Last(Vec<f32>),
    /// `[hidden]`
    Max(Vec<f32>),
    Sum(WeightedSum),
}

/// A sum of rows, to be divided by something that is known at the end.
#[derive(Debug)]
struct WeightedSum {
    mode: SumMode,
    /// `[hidden]`
    sum: Vec<f64>,
    /// The place of the next row, counted from 1.
    place: usize,
    weights: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SumMode {
    Mean,
    /// Divided by the square root of the number of rows.
    MeanSqrtLen,
    /// Each row counts as often as its place says.
    ByPlace,
}

impl Pool {
    /// A pool for rows of `hidden` numbers that leaves the first `skipped` rows out.
    pub(super) fn new(modes: &[PoolingMode], hidden: usize, skipped: usize) -> Self {
        let mode = |&mode: &PoolingMode| {
            let sum = |mode| {
                ModePool::Sum(WeightedSum {
                    mode,
                    sum: vec![0.0; hidden],
                    place: skipped + 1,
                    weights: 0.0,
                })
            };
            match mode {
                PoolingMode::Cls => ModePool::First(Vec::new()),
                PoolingMode::LastToken => ModePool::Last(Vec::new()),
                PoolingMode::Max => ModePool::Max(vec![f32::NEG_INFINITY; hidden]),
                PoolingMode::Mean => sum(SumMode::Mean),
                PoolingMode::MeanSqrtLenTokens => sum(SumMode::MeanSqrtLen),
                PoolingMode::WeightedMean => sum(SumMode::ByPlace),
            }
        };
        Self {
            skipped,
            hidden,
            modes: modes.iter().map(mode).collect(),
        }
    }

    /// Adds the next rows, all of real tokens.
    pub(super) fn add(&mut self, new: &[f32]) {
        let left_out = self.skipped.min(new.len() / self.hidden);
        self.skipped -= left_out;
        let new = &new[left_out * self.hidden..];
        if new.is_empty() {
            return;
        }
        for mode in &mut self.modes {
            match mode {
                ModePool::First(row) if row.is_empty() => {
                    row.extend_from_slice(&new[..self.hidden]);
                }
                ModePool::First(_) => {}
                ModePool::Last(row) => *row = new[new.len() - self.hidden..].to_vec(),
                ModePool::Max(largest) => keep_largest(largest, new),
                ModePool::Sum(sum) => sum.add(new.chunks_exact(self.hidden)),
            }
        }
    }

    /// `[modes × hidden]`
    pub(super) fn vector(&self) -> Vec<f32> {
        let vector = |mode: &ModePool| match mode {
            ModePool::First(row) | ModePool::Last(row) | ModePool::Max(row) => row.clone(),
            ModePool::Sum(sum) => sum.vector(),
        };
        self.modes.iter().flat_map(vector).collect()
    }
}

impl WeightedSum {
    fn add<'a>(&mut self, rows: impl Iterator<Item = &'a [f32]>) {
        for row in rows {
            let weight = match self.mode {
                SumMode::Mean | SumMode::MeanSqrtLen => 1.0,
                SumMode::ByPlace => self.place as f64,
            };
            for (sum, &value) in self.sum.iter_mut().zip(row) {
                *sum += weight * f64::from(value);
            }
            self.place += 1;
            self.weights += weight;
        }
    }

    fn vector(&self) -> Vec<f32> {
        let divisor = match self.mode {
            SumMode::Mean | SumMode::ByPlace => self.weights,
            SumMode::MeanSqrtLen => self.weights.sqrt(),
        };
        divided(&self.sum, divisor)
    }
}

/// One vector of a word's `rows`.
///
/// # Shapes
/// `rows` `[tokens × hidden]`, at least one token → `[hidden]`
#[must_use]
pub(crate) fn pool_word(how: WordPooling, rows: &[f32], hidden: usize) -> Vec<f32> {
    match how {
        WordPooling::First => rows[..hidden].to_vec(),
        WordPooling::Last => rows[rows.len() - hidden..].to_vec(),
        WordPooling::Mean => mean(rows.chunks_exact(hidden), hidden),
        WordPooling::Max => largest(rows, hidden),
        WordPooling::Sum => rounded(sum(rows.chunks_exact(hidden), hidden)),
    }
}

/// `vector` scaled to Euclidean length 1; a vector of zeros stays as it is.
pub(super) fn normalize(vector: &mut [f32]) {
    // torch.nn.functional.normalize never divides by less.
    const SMALLEST_NORM: f64 = 1e-12;
    let squares: f64 = vector
        .iter()
        .map(|&value| f64::from(value) * f64::from(value))
        .sum();
    let norm = squares.sqrt().max(SMALLEST_NORM);
    for value in vector {
        *value = (f64::from(*value) / norm) as f32;
    }
}

/// Merges the layers.
///
/// # Shapes
/// `layers` of `[tokens × hidden]` each → `[tokens × hidden]`, or for concat
/// `[tokens × (layers × hidden)]`
pub(super) fn merge(how: LayerMerge, layers: &[&[f32]], hidden: usize) -> Vec<f32> {
    match how {
        LayerMerge::None | LayerMerge::Concat => {
            let tokens = layers.first().map_or(0, |layer| layer.len() / hidden);
            let row = |token: usize| {
                layers
                    .iter()
                    .flat_map(move |layer| &layer[token * hidden..(token + 1) * hidden])
            };
            (0..tokens).flat_map(row).copied().collect()
        }
        LayerMerge::Mean => mean(
            layers.iter().copied(),
            layers.first().map_or(0, |l| l.len()),
        ),
        LayerMerge::Sum => rounded(sum(
            layers.iter().copied(),
            layers.first().map_or(0, |layer| layer.len()),
        )),
    }
}

/// The mean of `rows`, each `[width]`.
fn mean<'a>(rows: impl ExactSizeIterator<Item = &'a [f32]>, width: usize) -> Vec<f32> {
    let count = rows.len();
    divided(&sum(rows, width), count as f64)
}

fn divided(sum: &[f64], divisor: f64) -> Vec<f32> {
    let divisor = divisor.max(1.0);
    sum.iter().map(|value| (value / divisor) as f32).collect()
}

fn sum<'a>(rows: impl Iterator<Item = &'a [f32]>, width: usize) -> Vec<f64> {
    let mut sum = vec![0.0; width];
    for row in rows {
        for (sum, &value) in sum.iter_mut().zip(row) {
            *sum += f64::from(value);
        }
    }
    sum
}

fn rounded(values: Vec<f64>) -> Vec<f32> {
    values.into_iter().map(|value| value as f32).collect()
}

fn largest(rows: &[f32], hidden: usize) -> Vec<f32> {
    let mut largest = vec![f32::NEG_INFINITY; hidden];
    keep_largest(&mut largest, rows);
    largest
}

fn keep_largest(largest: &mut [f32], rows: &[f32]) {
    for row in rows.chunks_exact(largest.len()) {
        for (largest, &value) in largest.iter_mut().zip(row) {
            *largest = largest.max(value);
        }
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "every expected number is exact in f32")]
mod tests {
    use super::*;

    const ROWS: [f32; 6] = [1.0, -2.0, 3.0, 4.0, 5.0, -6.0];

    fn pool(mode: PoolingMode, skipped: usize) -> Vec<f32> {
        let mut pool = Pool::new(&[mode], 2, skipped);
        pool.add(&ROWS);
        pool.vector()
    }

    #[test]
    fn tokens_are_pooled_as_named() {
        assert_eq!(pool(PoolingMode::Cls, 0), [1.0, -2.0]);
        assert_eq!(pool(PoolingMode::Mean, 0), [3.0, -4.0 / 3.0]);
        assert_eq!(pool(PoolingMode::Max, 0), [5.0, 4.0]);
        assert_eq!(pool(PoolingMode::LastToken, 0), [5.0, -6.0]);
        assert_eq!(
            pool(PoolingMode::WeightedMean, 0),
            [22.0 / 6.0, -12.0 / 6.0]
        );
    }

    #[test]
    fn rows_that_are_skipped_keep_their_places() {
        assert_eq!(pool(PoolingMode::Cls, 1), [3.0, 4.0]);
        assert_eq!(pool(PoolingMode::Mean, 1), [4.0, -1.0]);
        assert_eq!(
            pool(PoolingMode::WeightedMean, 1),
            [21.0 / 5.0, -10.0 / 5.0]
        );
    }

    #[test]
    fn a_words_tokens_are_pooled_as_named() {
        assert_eq!(pool_word(WordPooling::First, &ROWS, 2), [1.0, -2.0]);
        assert_eq!(pool_word(WordPooling::Last, &ROWS, 2), [5.0, -6.0]);
        assert_eq!(pool_word(WordPooling::Mean, &ROWS, 2), [3.0, -4.0 / 3.0]);
        assert_eq!(pool_word(WordPooling::Max, &ROWS, 2), [5.0, 4.0]);
        assert_eq!(pool_word(WordPooling::Sum, &ROWS, 2), [9.0, -4.0]);
    }

    #[test]
    fn layers_are_merged_token_by_token() {
        let layers: [&[f32]; 2] = [&[1.0, 2.0, 3.0, 4.0], &[5.0, 6.0, 7.0, 9.0]];
        assert_eq!(merge(LayerMerge::Sum, &layers, 2), [6.0, 8.0, 10.0, 13.0]);
        assert_eq!(merge(LayerMerge::Mean, &layers, 2), [3.0, 4.0, 5.0, 6.5]);
        let concatenated = [1.0, 2.0, 5.0, 6.0, 3.0, 4.0, 7.0, 9.0];
        assert_eq!(merge(LayerMerge::Concat, &layers, 2), concatenated);
    }

    #[test]
    fn a_normalized_vector_has_length_one_and_zeros_stay() {
        let mut vector = [3.0, 4.0];
        normalize(&mut vector);
        assert_eq!(vector, [0.6, 0.8]);
        let mut zeros = [0.0; 2];
        normalize(&mut zeros);
        assert_eq!(zeros, [0.0; 2]);
    }
}
