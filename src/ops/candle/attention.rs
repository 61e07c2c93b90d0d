//! Attention over the sequences of a batch, which are padded to rectangles for it.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Result, Tensor, bail};
use candle_nn::ops::softmax_last_dim;

use crate::ops::{AttentionBias, Sequence};

/// The most pairs of a query and a key in a group: with 16 heads their scores take 1 GB.
const MOST_PAIRS: usize = 1 << 24;

/// The sequences of a batch in groups of similar length, each group padded to its longest.
///
/// A group's longest has less than twice the tokens of its shortest, so padding less than doubles
/// the rows, whatever lengths a batch mixes.
pub(crate) struct PaddedSequences {
    groups: Vec<Group>,
    /// `[tokens]`: the row of each token in the groups, one below the other.
    unpadded: Tensor,
    /// The first token of each sequence.
    pub(super) first_tokens: Vec<usize>,
}

struct Group {
    /// Each with its place in the batch.
    sequences: Vec<(usize, Sequence)>,
    /// Tokens of the longest.
    longest: usize,
    /// `[sequences × longest]`: the token of each row.
    tokens: Tensor,
    /// `[sequences, 1, 1, longest]` in f32, added to the scores; none if every key counts.
    mask: Option<Tensor>,
    /// `[1, heads, longest, longest]` in f32, added to the scores too.
    bias: Option<Tensor>,
}

impl PaddedSequences {
    pub(super) fn new(
        sequences: &[Sequence],
        bias: Option<&AttentionBias>,
        device: &Device,
    ) -> Result<Self> {
        let mut by_length = BTreeMap::<_, Vec<_>>::new();
        for (place, &sequence) in sequences.iter().enumerate() {
            let group = by_length.entry(sequence.tokens.next_power_of_two());
            group.or_default().push((place, sequence));
        }
        let mut groups = Vec::new();
        for (length, sequences) in by_length {
            let most = (MOST_PAIRS / (length * length)).max(1);
            for sequences in sequences.chunks(most) {
                groups.push(Group::new(sequences.to_vec(), bias, device)?);
            }
        }

        let mut unpadded = vec![0; sequences.iter().map(|it| it.tokens).sum()];
        let mut row = 0;
        for group in &groups {
            for (_, Sequence { start, tokens, .. }) in &group.sequences {
                unpadded[*start..][..*tokens].copy_from_slice(&range(row, *tokens));
                row += group.longest;
            }
        }
        Ok(Self {
            groups,
            unpadded: Tensor::new(unpadded, device)?,
            first_tokens: sequences.iter().map(|it| it.start).collect(),
        })
    }
}

/// `tokens` numbers from `start`.
fn range(start: usize, tokens: usize) -> Vec<u32> {
    (start..start + tokens).map(|row| row as u32).collect()
}

impl Group {
    fn new(
        sequences: Vec<(usize, Sequence)>,
        bias: Option<&AttentionBias>,
        device: &Device,
    ) -> Result<Self> {
        let lengths = sequences.iter().map(|(_, sequence)| sequence.tokens);
        let longest = lengths.max().unwrap_or_default();
        let (mut rows, mut mask) = (Vec::new(), Vec::new());
        for (_, sequence) in &sequences {
            rows.extend(range(sequence.start, sequence.tokens));
            // Any token would do, but one of another sequence could bring its NaN.
            rows.resize(
                rows.len() + longest - sequence.tokens,
                sequence.start as u32,
            );
            mask.extend((0..longest).map(|key| mask_value(sequence, key)));
        }
        let shape = (sequences.len(), 1, 1, longest);
        let mask = mask.iter().any(|value| *value != 0.0).then_some(mask);
        Ok(Self {
            tokens: Tensor::new(rows, device)?,
            mask: mask
                .map(|mask| Tensor::from_vec(mask, shape, device))
                .transpose()?,
            bias: bias.map(|bias| square(bias, longest, device)).transpose()?,
            sequences,
            longest,
        })
    }

    /// Query, key and value of each head.
    ///
    /// # Shapes
    /// `[tokens, 3 × hidden]` → three times `[sequences, heads, longest, head_dim]`
    fn split(&self, query_key_value: &Tensor, heads: usize) -> Result<[Tensor; 3]> {
        let head_dim = query_key_value.dim(1)? / 3 / heads;
        let shape = (self.sequences.len(), self.longest, 3, heads, head_dim);
        let padded = query_key_value.index_select(&self.tokens, 0)?;
        let padded = padded.reshape(shape)?;
        let part = |part| padded.get_on_dim(2, part)?.transpose(1, 2)?.contiguous();
        Ok([part(0)?, part(1)?, part(2)?])
    }

    /// softmax(query · keyᵀ / √`head_dim` + bias + mask), in f32.
    ///
    /// # Shapes
    /// → `[sequences, heads, longest, longest]`
    fn probs(&self, query: &Tensor, key: &Tensor) -> Result<Tensor> {
        let (sequences, heads, tokens, head_dim) = query.dims4()?;
        // candle's softmax counts the scores in an i32.
        if sequences * heads * tokens * tokens > i32::MAX as usize {
            bail!("{tokens} tokens are too many for one text");
        }
        // The query first: the scores themselves could be too large for f16.
        let query = (query / (head_dim as f64).sqrt())?;
        let mut scores = query.matmul(&key.t()?)?.to_dtype(DType::F32)?;
        if let Some(bias) = &self.bias {
            scores = scores.broadcast_add(bias)?;
        }
        match &self.mask {
            Some(mask) => softmax_last_dim(&scores.broadcast_add(mask)?),
            None => softmax_last_dim(&scores),
        }
    }
}

/// The bias of each query and key.
///
/// # Shapes
/// → `[1, heads, tokens, tokens]`
fn square(bias: &AttentionBias, tokens: usize, device: &Device) -> Result<Tensor> {
    let of_head = bias.values_of_head();
    let heads = bias.values().len() / of_head;
    let place = |query| (0..tokens).map(move |key| bias.place(query, key) as u32);
    let places: Vec<u32> = (0..tokens).flat_map(place).collect();
    Tensor::from_slice(bias.values(), (heads, of_head), device)?
        .index_select(&Tensor::new(places, device)?, 1)?
        .reshape((1, heads, tokens, tokens))
}

/// What is added to the scores of the key at `token` of a sequence.
fn mask_value(sequence: &Sequence, token: usize) -> f32 {
    if token < sequence.attended {
        0.0
    } else if token < sequence.tokens {
        // Any score is lost in it: if no token is attended to, all keys are equal, as in
        // transformers.
        f32::MIN
    } else {
        f32::NEG_INFINITY
    }
}

/// The context of each token.
///
/// # Shapes
/// `query_key_value` `[tokens, 3 × hidden]` → `[tokens, hidden]`
pub(super) fn context(
    query_key_value: &Tensor,
    sequences: &PaddedSequences,
    heads: usize,
) -> Result<Tensor> {
    let (_, features) = query_key_value.dims2()?;
    let context = |group: &Group| {
        let [query, key, value] = group.split(query_key_value, heads)?;
        let probs = group.probs(&query, &key)?.to_dtype(value.dtype())?;
        // [sequences, heads, longest, head_dim]
        let context = probs.matmul(&value)?.transpose(1, 2)?;
        context.reshape((group.sequences.len() * group.longest, features / 3))
    };
    let groups: Result<Vec<_>> = sequences.groups.iter().map(context).collect();
    Tensor::cat(&groups?, 0)?.index_select(&sequences.unpadded, 0)
}

/// The attention probabilities in f32.
///
/// # Shapes
/// `query_key_value` `[tokens, 3 × hidden]` → `[heads, tokens, tokens]` of one sequence after the
/// other
pub(super) fn probs(
    query_key_value: &Tensor,
    sequences: &PaddedSequences,
    heads: usize,
) -> Result<Tensor> {
    let mut in_order = BTreeMap::new();
    for group in &sequences.groups {
        let [query, key, _] = group.split(query_key_value, heads)?;
        let probs = group.probs(&query, &key)?;
        for (row, (place, Sequence { tokens, .. })) in group.sequences.iter().enumerate() {
            let own = probs.get(row)?.narrow(1, 0, *tokens)?;
            in_order.insert(place, own.narrow(2, 0, *tokens)?.flatten_all()?);
        }
    }
    Tensor::cat(&in_order.into_values().collect::<Vec<_>>(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two sequences of one head in one group: of 4 tokens, of which 2 are real, and of 3, of
    /// which none is.
    #[test]
    fn padding_has_no_share_and_without_real_tokens_all_have_the_same() -> Result<()> {
        let sequence = |start, tokens, attended| Sequence {
            start,
            tokens,
            attended,
        };
        let sequences = [sequence(0, 4, 2), sequence(4, 3, 0)];
        let sequences = PaddedSequences::new(&sequences, None, &Device::Cpu)?;
        // query, key and value, two values each
        let values: Vec<f32> = (0..7 * 6).map(|it| (it * it % 11) as f32 - 4.0).collect();
        let query_key_value = Tensor::from_vec(values, (7, 6), &Device::Cpu)?;

        let probs: Vec<f32> = probs(&query_key_value, &sequences, 1)?.to_vec1()?;
        let (first, second) = probs.split_at(4 * 4);
        assert!(first.chunks(4).all(|row| row[2..] == [0.0, 0.0]));
        let third = 1.0 / 3.0_f32;
        assert_eq!(second, [third; 9]);

        let context: Vec<Vec<f32>> = context(&query_key_value, &sequences, 1)?.to_vec2()?;
        let rows: Vec<Vec<f32>> = query_key_value.to_vec2()?;
        for column in 0..2 {
            let mean = rows[4..].iter().map(|row| row[4 + column]).sum::<f32>() / 3.0;
            for row in &context[4..] {
                // A few roundings of 1e-7 each.
                assert!((row[column] - mean).abs() < 1e-6, "{} {mean}", row[column]);
            }
        }
        Ok(())
    }

    #[test]
    fn lengths_that_differ_much_are_not_padded_to_each_other() -> Result<()> {
        let (mut sequences, mut start) = (Vec::new(), 0);
        for tokens in [512, 3, 4, 300, 5] {
            sequences.push(Sequence {
                start,
                tokens,
                attended: tokens,
            });
            start += tokens;
        }
        let sequences = PaddedSequences::new(&sequences, None, &Device::Cpu)?;
        let longest: Vec<_> = sequences.groups.iter().map(|it| it.longest).collect();
        assert_eq!(longest, [4, 5, 512]);
        Ok(())
    }
}
