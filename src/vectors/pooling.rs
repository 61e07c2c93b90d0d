//! Pooling and merging: many rows become one.
//!
//! Sums are taken in f64 and rounded once. The definitions are those of `Pooling` and `Normalize`
//! in sentence-transformers.

use super::options::{LayerMerge, WordPooling};
use super::sentence_transformer::PoolingMode;

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
    /// Not divided.
    Sum,
    Mean,
    /// Divided by the square root of the number of rows.
    MeanSqrtLen,
    /// Each row counts as often as its place says.
    ByPlace,
}

impl Pool {
    /// A pool for rows of `hidden` numbers that leaves the first `skipped` rows out.
    pub(super) fn new(modes: &[PoolingMode], hidden: usize, skipped: usize) -> Self {
        let sum = |mode| ModePool::Sum(WeightedSum::new(mode, hidden, skipped + 1));
        let mode = |mode: &PoolingMode| match mode {
            PoolingMode::Cls => ModePool::First(Vec::new()),
            PoolingMode::LastToken => ModePool::Last(Vec::new()),
            PoolingMode::Max => ModePool::Max(vec![f32::NEG_INFINITY; hidden]),
            PoolingMode::Mean => sum(SumMode::Mean),
            PoolingMode::MeanSqrtLenTokens => sum(SumMode::MeanSqrtLen),
            PoolingMode::WeightedMean => sum(SumMode::ByPlace),
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
        for mode in &mut self.modes {
            mode.add(new, self.hidden);
        }
    }

    /// `[modes × hidden]`
    pub(super) fn vector(&self) -> Vec<f32> {
        self.modes.iter().flat_map(ModePool::vector).collect()
    }
}

impl ModePool {
    /// Adds rows of `hidden` numbers.
    fn add(&mut self, new: &[f32], hidden: usize) {
        let mut rows = new.chunks_exact(hidden);
        match self {
            Self::First(row) if row.is_empty() => row.extend(rows.next().into_iter().flatten()),
            Self::First(_) => {}
            Self::Last(last) => {
                if let Some(row) = rows.next_back() {
                    *last = row.to_vec();
                }
            }
            Self::Max(largest) => {
                for row in rows {
                    for (largest, &value) in largest.iter_mut().zip(row) {
                        *largest = largest.max(value);
                    }
                }
            }
            Self::Sum(sum) => sum.add(rows),
        }
    }

    fn vector(&self) -> Vec<f32> {
        match self {
            Self::First(row) | Self::Last(row) | Self::Max(row) => row.clone(),
            Self::Sum(sum) => sum.vector(),
        }
    }
}

impl WeightedSum {
    /// No row yet; `width` is that of a row, and the first one has number `place`.
    fn new(mode: SumMode, width: usize, place: usize) -> Self {
        Self {
            mode,
            sum: vec![0.0; width],
            place,
            weights: 0.0,
        }
    }

    fn add<'a>(&mut self, rows: impl Iterator<Item = &'a [f32]>) {
        for row in rows {
            let weight = match self.mode {
                SumMode::Sum | SumMode::Mean | SumMode::MeanSqrtLen => 1.0,
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
            SumMode::Sum => 1.0,
            SumMode::Mean | SumMode::ByPlace => self.weights.max(1.0),
            SumMode::MeanSqrtLen => self.weights.sqrt().max(1.0),
        };
        let sum = self.sum.iter();
        sum.map(|value| (value / divisor) as f32).collect()
    }
}

/// One vector of a word's `rows`.
///
/// # Shapes
/// `rows` `[tokens × hidden]`, at least one token → `[hidden]`
#[must_use]
pub(crate) fn pool_word(how: WordPooling, rows: &[f32], hidden: usize) -> Vec<f32> {
    let sum = |mode| ModePool::Sum(WeightedSum::new(mode, hidden, 1));
    let mut pool = match how {
        WordPooling::First => ModePool::First(Vec::new()),
        WordPooling::Last => ModePool::Last(Vec::new()),
        WordPooling::Max => ModePool::Max(vec![f32::NEG_INFINITY; hidden]),
        WordPooling::Mean => sum(SumMode::Mean),
        WordPooling::Sum => sum(SumMode::Sum),
    };
    pool.add(rows, hidden);
    pool.vector()
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
    let numbers = layers.first().map_or(0, |layer| layer.len());
    let mode = match how {
        LayerMerge::None | LayerMerge::Concat => {
            let row = |token: usize| {
                let of_token = token * hidden..(token + 1) * hidden;
                layers
                    .iter()
                    .flat_map(move |layer| &layer[of_token.clone()])
            };
            return (0..numbers / hidden).flat_map(row).copied().collect();
        }
        LayerMerge::Mean => SumMode::Mean,
        LayerMerge::Sum => SumMode::Sum,
    };
    let mut sum = WeightedSum::new(mode, numbers, 1);
    sum.add(layers.iter().copied());
    sum.vector()
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
