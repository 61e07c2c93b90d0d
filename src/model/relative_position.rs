//! The bias of attention scores by the distance between query and key, one table for all layers.
//!
//! Source: `MPNetEncoder.compute_position_bias` in transformers.

use super::Loader;
use crate::error::Result;
use crate::ops::{AttentionBias, Backend};
use crate::weights::names::RELATIVE_ATTENTION_BIAS;

/// The distances at which a bucket begins after the first eight, which have one distance each: the
/// logarithms of `relative_position_bucket` with its 32 buckets and distance of 128, which the
/// config does not change.
const BUCKET_STARTS: [usize; 8] = [8, 12, 16, 23, 32, 46, 64, 91];

/// Buckets of keys before the query, or of keys after it.
const BUCKETS_A_SIDE: usize = 16;

/// The model's attention bias, if its type has one.
pub(super) fn load<B: Backend>(loader: &Loader<B>) -> Result<Option<AttentionBias>> {
    let config = loader.config;
    if !RELATIVE_ATTENTION_BIAS.is_in(config) {
        return Ok(None);
    }
    let table = loader.weight("", RELATIVE_ATTENTION_BIAS)?;
    let table = loader.backend.load_values(&table);
    let heads = config.num_attention_heads;
    let bias = |head, query, key| table[bucket(query, key) * heads + head];
    Ok(Some(AttentionBias::new(heads, config.max_tokens(), bias)))
}

/// The row of the table for two places in a sequence.
fn bucket(query: usize, key: usize) -> usize {
    let distance = query.abs_diff(key);
    let starts = BUCKET_STARTS.iter().filter(|&&start| start <= distance);
    let bucket = distance.min(7) + starts.count();
    if key > query {
        BUCKETS_A_SIDE + bucket
    } else {
        bucket
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// transformers 5.23: `MPNetEncoder.relative_position_bucket(torch.tensor(key - query))`.
    #[test]
    fn buckets_are_those_of_transformers() {
        let before = [
            (0, 0),
            (7, 7),
            (8, 8),
            (11, 8),
            (12, 9),
            (15, 9),
            (16, 10),
            (22, 10),
            (23, 11),
            (31, 11),
            (32, 12),
            (45, 12),
            (46, 13),
            (63, 13),
            (64, 14),
            (90, 14),
            (91, 15),
            (511, 15),
        ];
        for (distance, expected) in before {
            assert_eq!(bucket(distance, 0), expected, "{distance} before");
            if distance > 0 {
                assert_eq!(bucket(0, distance), 16 + expected, "{distance} after");
            }
        }
    }
}
