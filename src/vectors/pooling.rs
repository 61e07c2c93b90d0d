//! One vector of many rows: pooling over tokens, merging of layers.
//!
//! Sums are taken in f64 and rounded once. The definitions are those of `Pooling` and `Normalize`
//! in sentence-transformers.

use super::options::{LayerMerge, Pooling, WordPooling};

/// One vector of the rows of a text, which may come a few at a time.
#[derive(Debug)]
pub(super) enum Pool {
    /// `[hidden]`, empty before the first row.
    First { row: Vec<f32>, hidden: usize },
    /// `[hidden]` and the number of rows.
    Mean { sum: Vec<f64>, rows: usize },
    /// `[hidden]`
    Max(Vec<f32>),
}

impl Pool {
    /// A pool for rows of `hidden` numbers. The pooler's own vector comes from the model, so
    /// [`Pooling::Pooler`] keeps the row that it is made of.
    pub(super) fn new(how: Pooling, hidden: usize) -> Self {
        match how {
            Pooling::Cls | Pooling::Pooler => Self::First {
                row: Vec::new(),
                hidden,
            },
            Pooling::Mean => Self::Mean {
                sum: vec![0.0; hidden],
                rows: 0,
            },
            Pooling::Max => Self::Max(vec![f32::NEG_INFINITY; hidden]),
        }
    }

    /// Adds the next rows, all of real tokens.
    pub(super) fn add(&mut self, new: &[f32]) {
        match self {
            Self::First { row, hidden } if row.is_empty() => {
                row.extend(new.iter().take(*hidden));
            }
            Self::First { .. } => {}
            Self::Mean { sum, rows } => {
                let width = sum.len();
                *rows += new.len() / width;
                add_rows(sum, new.chunks_exact(width));
            }
            Self::Max(largest) => keep_largest(largest, new),
        }
    }

    /// `[hidden]`
    pub(super) fn vector(&self) -> Vec<f32> {
        match self {
            Self::First { row, .. } => row.clone(),
            Self::Mean { sum, rows } => divided(sum, *rows),
            Self::Max(largest) => largest.clone(),
        }
    }
}

/// One vector of a word's `rows`.
///
/// # Shapes
/// `rows` `[tokens × hidden]`, at least one token → `[hidden]`
#[must_use]
pub fn pool_word(how: WordPooling, rows: &[f32], hidden: usize) -> Vec<f32> {
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

/// The layers as one.
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
    divided(&sum(rows, width), count)
}

fn divided(sum: &[f64], count: usize) -> Vec<f32> {
    let count = count.max(1) as f64;
    sum.iter().map(|value| (value / count) as f32).collect()
}

fn sum<'a>(rows: impl Iterator<Item = &'a [f32]>, width: usize) -> Vec<f64> {
    let mut sum = vec![0.0; width];
    add_rows(&mut sum, rows);
    sum
}

fn add_rows<'a>(sum: &mut [f64], rows: impl Iterator<Item = &'a [f32]>) {
    for row in rows {
        for (sum, &value) in sum.iter_mut().zip(row) {
            *sum += f64::from(value);
        }
    }
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

    fn pool(how: Pooling, rows: &[f32], hidden: usize) -> Vec<f32> {
        let mut pool = Pool::new(how, hidden);
        pool.add(rows);
        pool.vector()
    }

    #[test]
    fn tokens_are_pooled_as_named() {
        assert_eq!(pool(Pooling::Cls, &ROWS, 2), [1.0, -2.0]);
        assert_eq!(pool(Pooling::Mean, &ROWS, 2), [3.0, -4.0 / 3.0]);
        assert_eq!(pool(Pooling::Max, &ROWS, 2), [5.0, 4.0]);
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
