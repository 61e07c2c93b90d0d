//! What is added to the scores of one head.

use super::super::simd::Simd;
use super::QueryRun;
use crate::ops::AttentionBias;

/// What is added to the scores of some queries with all keys.
#[derive(Clone, Copy)]
pub(super) struct QueryBias<'a> {
    bias: &'a AttentionBias,
    head: usize,
    /// The first query's place in its sequence.
    query: usize,
    /// The bias belongs to scores that are divided by this.
    scale: f32,
}

impl QueryBias<'_> {
    /// Writes the bias as scores.
    #[inline(always)]
    pub(super) fn write<S: Simd>(self, simd: S, width: usize, scores: &mut [f32]) {
        let scale = simd.splat(self.scale);
        for (key, scores) in scores.chunks_exact_mut(width).enumerate() {
            let values = self.bias.queries(self.head, self.query, key);
            for (values, scores) in values
                .chunks_exact(S::LANES)
                .zip(scores.chunks_exact_mut(S::LANES))
            {
                simd.store_slice(simd.mul(simd.load_slice(values), scale), scores);
            }
        }
    }
}

impl QueryRun {
    /// What is added to the scores of the queries from `first` on.
    pub(super) fn bias<'a>(
        &self,
        bias: Option<&'a AttentionBias>,
        first: usize,
        head_dim: usize,
    ) -> Option<QueryBias<'a>> {
        Some(QueryBias {
            bias: bias?,
            head: self.head,
            query: self.place + (first - self.first),
            scale: (head_dim as f32).sqrt(),
        })
    }
}
