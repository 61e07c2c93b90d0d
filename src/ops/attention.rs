//! Scaled dot-product attention of each sequence and head.
//!
//! Source: Vaswani et al. 2017, section 3.2 (arXiv:1706.03762); `BertSelfAttention` in
//! transformers. A padded row is a query like any other; its key is looked at by none.

use candle_core::{D, Result, Tensor};

use super::host::HostOp;
use super::kernel::{self, Panels, SharedOut};
use super::{Sequence, States};

/// The context of each token: softmax(query · keyᵀ / √`head_dim`) · value.
///
/// # Shapes
/// `query_key_value` `[tokens, 3 × hidden]`, hidden = `heads` × `head_dim` → `[tokens, hidden]`
///
/// # Errors
/// Where the shapes do not fit or the device fails.
pub fn attention(query_key_value: &States, sequences: &[Sequence], heads: usize) -> Result<States> {
    let Panels { tokens, features } = query_key_value.panels()?;
    let head_dim = features / 3 / heads;
    let to = Panels {
        tokens,
        features: heads * head_dim,
    };
    let context = if query_key_value.tensor().device().is_cpu() {
        let kernel = |query_key_value: &[f32], out: SharedOut| {
            kernel::attention(query_key_value, sequences, heads, head_dim, out);
        };
        // SAFETY: the kernel writes every token's context, and zero where there is no token.
        let op = unsafe { HostOp::new("attention", to.size(), kernel) };
        op.apply(query_key_value.tensor(), to.shape())?
    } else {
        let contexts: Result<Vec<_>> = sequences
            .iter()
            .map(|sequence| {
                let rows = query_key_value
                    .tensor()
                    .narrow(0, sequence.start, sequence.tokens)?;
                sequence_attention(&rows, sequence.attended, heads)
            })
            .collect();
        Tensor::cat(&contexts?, 0)?
    };
    Ok(States::new(context, tokens))
}

fn sequence_attention(rows: &Tensor, attended: usize, heads: usize) -> Result<Tensor> {
    let (tokens, width) = rows.dims2()?;
    let head_dim = width / 3 / heads;
    // [3, heads, tokens, head_dim]
    let parts = rows
        .reshape((tokens, 3, heads, head_dim))?
        .permute((1, 2, 0, 3))?;
    let query = (parts.get(0)?.contiguous()? / (head_dim as f64).sqrt())?;
    let key = parts.get(1)?.narrow(1, 0, attended)?.contiguous()?;
    let value = parts.get(2)?.narrow(1, 0, attended)?.contiguous()?;
    let attention_scores = query.matmul(&key.transpose(1, 2)?)?;
    let attention_probs = candle_nn::ops::softmax(&attention_scores, D::Minus1)?;
    let context = attention_probs.matmul(&value)?;
    context.transpose(0, 1)?.reshape((tokens, width / 3))
}
