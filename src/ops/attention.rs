//! Scaled dot-product attention of each sequence and head.
//!
//! Source: Vaswani et al. 2017, section 3.2 (arXiv:1706.03762); `BertSelfAttention` in
//! transformers. A padded row is a query like any other; its key is looked at by none.

use candle_core::Result;

use super::cpu::{self, Panels, SharedOut};
use super::host::HostOp;
use super::{Sequences, States, cuda};

/// The context of each token: softmax(query · keyᵀ / √`head_dim`) · value.
///
/// # Shapes
/// `query_key_value` `[tokens, 3 × hidden]`, hidden = `heads` × `head_dim` → `[tokens, hidden]`
///
/// # Errors
/// Where the shapes do not fit or the device fails.
pub fn attention(query_key_value: &States, sequences: &Sequences, heads: usize) -> Result<States> {
    let Panels { tokens, features } = query_key_value.panels()?;
    let head_dim = features / 3 / heads;
    let to = Panels {
        tokens,
        features: heads * head_dim,
    };
    let context = if query_key_value.tensor().device().is_cpu() {
        let kernel = |query_key_value: &[f32], out: SharedOut| {
            cpu::attention(query_key_value, sequences.list(), heads, head_dim, out);
        };
        // SAFETY: the kernel writes every token's context, and zero where there is no token.
        let op = unsafe { HostOp::new("attention", to.size(), kernel) };
        op.apply(query_key_value.tensor(), to.shape())?
    } else {
        let x = query_key_value.tensor();
        let tiles = sequences.tiles(head_dim, x)?;
        cuda::attention(x, query_key_value.bias(), tiles, heads)?
    };
    Ok(States::new(context, tokens))
}
