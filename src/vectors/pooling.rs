//! Pooling and merging: many rows become one.
//!
//! Sums are taken in f64 and rounded once. The definitions follow `Pooling` and `Normalize` in
//! sentence-transformers.

use super::options::LayerMerge;
use super::sentence_transformer::PoolingMode;

/// Pools rows of equal width, which may arrive a few at a time.
#[derive(Debug)]
pub(super) struct Pool {
    mode: PoolingMode,
    /// How many of the first rows are not pooled.
    skipped: usize,
    /// The rows so far, skipped ones included.
    rows: usize,
    /// `[width]`, not yet divided; empty before the first row.
    values: Vec<f64>,
    /// The sum of the weights of the rows.
    weights: f64,
}

impl Pool {
    /// A pool that leaves out the first `skipped` rows.
    pub(super) fn new(mode: PoolingMode, skipped: usize) -> Self {
        Self {
            mode,
            skipped,
            rows: 0,
            values: Vec::new(),
            weights: 0.0,
        }
    }

    /// Adds the next rows, all of real tokens.
    pub(super) fn add<'a>(&mut self, rows: impl Iterator<Item = &'a [f32]>) {
        for row in rows {
            self.rows += 1;
            if self.rows > self.skipped {
                self.add_row(row);
            }
        }
    }

    fn add_row(&mut self, row: &[f32]) {
        let weight = match self.mode {
            PoolingMode::WeightedMean => self.rows as f64,
            PoolingMode::First
            | PoolingMode::Last
            | PoolingMode::Max
            | PoolingMode::Mean
            | PoolingMode::MeanSqrtLenTokens
            | PoolingMode::Sum => 1.0,
        };
        self.weights += weight;
        match self.mode {
            PoolingMode::First if !self.values.is_empty() => {}
            PoolingMode::First | PoolingMode::Last => self.combine(row, 0.0, |_, new| new),
            PoolingMode::Max => self.combine(row, f64::NEG_INFINITY, f64::max),
            PoolingMode::Mean
            | PoolingMode::MeanSqrtLenTokens
            | PoolingMode::Sum
            | PoolingMode::WeightedMean => self.combine(row, 0.0, |sum, new| sum + weight * new),
        }
    }

    fn combine(&mut self, row: &[f32], start: f64, with: impl Fn(f64, f64) -> f64) {
        self.values.resize(row.len(), start);
        for (value, &new) in self.values.iter_mut().zip(row) {
            *value = with(*value, f64::from(new));
        }
    }

    /// `[width]`
    pub(super) fn vector(&self) -> Vec<f32> {
        let divisor = match self.mode {
            PoolingMode::First | PoolingMode::Last | PoolingMode::Max | PoolingMode::Sum => 1.0,
            PoolingMode::Mean | PoolingMode::WeightedMean => self.weights.max(1.0),
            PoolingMode::MeanSqrtLenTokens => self.weights.sqrt().max(1.0),
        };
        let values = self.values.iter();
        values.map(|value| (value / divisor) as f32).collect()
    }
}

/// One vector of `rows`, which has at least one.
///
/// # Shapes
/// `rows` `[tokens × width]` → `[width]`
pub(crate) fn pool_rows(mode: PoolingMode, rows: &[f32], width: usize) -> Vec<f32> {
    pool(mode, rows.chunks_exact(width))
}

fn pool<'a>(mode: PoolingMode, rows: impl Iterator<Item = &'a [f32]>) -> Vec<f32> {
    let mut pool = Pool::new(mode, 0);
    pool.add(rows);
    pool.vector()
}

/// `vector` scaled to Euclidean length 1; a vector of zeros is unchanged.
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

pub(crate) fn all_finite(values: &[f32]) -> bool {
    values.iter().all(|value| value.is_finite())
}

/// Merges the layers.
///
/// # Shapes
/// `layers` of `[tokens × hidden]` each → `[tokens × hidden]`, or for concat
/// `[tokens × (layers × hidden)]`
pub(super) fn merge(how: LayerMerge, layers: &[&[f32]], tokens: usize) -> Vec<f32> {
    match how {
        LayerMerge::Mean => pool(PoolingMode::Mean, layers.iter().copied()),
        LayerMerge::Sum => pool(PoolingMode::Sum, layers.iter().copied()),
        LayerMerge::None | LayerMerge::Concat => {
            let row = |token: usize| {
                let layers = layers.iter().copied();
                layers.flat_map(move |layer| {
                    let width = layer.len() / tokens;
                    &layer[token * width..(token + 1) * width]
                })
            };
            (0..tokens).flat_map(row).copied().collect()
        }
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "every expected number is exact in f32")]
mod tests {
    use super::*;

    const ROWS: [f32; 6] = [1.0, -2.0, 3.0, 4.0, 5.0, -6.0];

    fn pool(mode: PoolingMode, skipped: usize) -> Vec<f32> {
        let mut pool = Pool::new(mode, skipped);
        pool.add(ROWS.chunks(2));
        pool.vector()
    }

    #[test]
    fn tokens_are_pooled_as_named() {
        assert_eq!(pool(PoolingMode::First, 0), [1.0, -2.0]);
        assert_eq!(pool(PoolingMode::Mean, 0), [3.0, -4.0 / 3.0]);
        assert_eq!(pool(PoolingMode::Max, 0), [5.0, 4.0]);
        assert_eq!(pool(PoolingMode::Last, 0), [5.0, -6.0]);
        assert_eq!(
            pool(PoolingMode::WeightedMean, 0),
            [22.0 / 6.0, -12.0 / 6.0]
        );
    }

    #[test]
    fn rows_that_are_skipped_keep_their_places() {
        assert_eq!(pool(PoolingMode::First, 1), [3.0, 4.0]);
        assert_eq!(pool(PoolingMode::Mean, 1), [4.0, -1.0]);
        assert_eq!(
            pool(PoolingMode::WeightedMean, 1),
            [21.0 / 5.0, -10.0 / 5.0]
        );
    }

    #[test]
    fn a_words_tokens_are_pooled_as_named() {
        assert_eq!(pool_rows(PoolingMode::First, &ROWS, 2), [1.0, -2.0]);
        assert_eq!(pool_rows(PoolingMode::Last, &ROWS, 2), [5.0, -6.0]);
        assert_eq!(pool_rows(PoolingMode::Mean, &ROWS, 2), [3.0, -4.0 / 3.0]);
        assert_eq!(pool_rows(PoolingMode::Max, &ROWS, 2), [5.0, 4.0]);
        assert_eq!(pool_rows(PoolingMode::Sum, &ROWS, 2), [9.0, -4.0]);
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
