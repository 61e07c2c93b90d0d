//! What is added to attention scores.

/// What is added to the scaled attention scores of each head, by how far the key is from the query.
pub(crate) struct AttentionBias {
    /// For each head the values of the distances query − key from 1 − `max_tokens` on, and zeros.
    values: Vec<f32>,
    max_tokens: usize,
}

impl AttentionBias {
    /// Values after a head's last one, which the kernels may read in whole registers.
    const SURPLUS: usize = 64;

    /// The bias for sequences of up to `max_tokens` tokens, from that of a head, query and key.
    pub(crate) fn new(
        heads: usize,
        max_tokens: usize,
        bias: impl Fn(usize, usize, usize) -> f32,
    ) -> Self {
        let max_tokens = max_tokens.max(1);
        let mut values = Vec::new();
        for head in 0..heads {
            let key_after = (1..max_tokens).rev().map(|key| bias(head, 0, key));
            values.extend(key_after);
            values.extend((0..max_tokens).map(|query| bias(head, query, 0)));
            values.resize(values.len() + Self::SURPLUS, 0.0);
        }
        Self { values, max_tokens }
    }

    /// The values of one head for the key and consecutive queries from `query` on; after the
    /// sequence's last one, at least 63 of no meaning.
    #[inline]
    pub(crate) fn queries(&self, head: usize, query: usize, key: usize) -> &[f32] {
        &self.values[head * self.values_of_head() + self.place(query, key)..]
    }

    /// The values, `[heads, values_of_head]`.
    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    pub(crate) fn values_of_head(&self) -> usize {
        2 * self.max_tokens - 1 + Self::SURPLUS
    }

    /// The place of a query and a key among a head's values.
    pub(crate) fn place(&self, query: usize, key: usize) -> usize {
        query + self.max_tokens - 1 - key
    }
}
