//! The sum of word, token-type and position embeddings, normalized.
//!
//! Source: `BertEmbeddings` in transformers, whose order of the sum is kept.

use candle_core::{Device, Result, Tensor};

use super::{LayerNorm, to_device};
use crate::checkpoint::TensorView;

/// The three embedding tables and their normalization.
pub struct Embeddings {
    /// `[vocab, hidden]`
    word: Tensor,
    /// `[positions, hidden]`
    position: Tensor,
    /// `[types, hidden]`
    token_type: Tensor,
    layer_norm: LayerNorm,
}

impl Embeddings {
    /// The tables on `device`.
    ///
    /// # Errors
    /// Where the device has no memory for them.
    pub fn load(
        [word, position, token_type]: [&TensorView; 3],
        layer_norm: LayerNorm,
        device: &Device,
    ) -> Result<Self> {
        Ok(Self {
            word: to_device(word, device)?,
            position: to_device(position, device)?,
            token_type: to_device(token_type, device)?,
            layer_norm,
        })
    }

    /// The embedding output of each token.
    ///
    /// # Shapes
    /// three lists of `tokens` row numbers → `[tokens, hidden]`
    ///
    /// # Errors
    /// Where a number is not a row of its table, or the device fails.
    pub fn forward(
        &self,
        input_ids: &[u32],
        token_type_ids: &[u32],
        position_ids: &[u32],
    ) -> Result<Tensor> {
        let rows =
            |table: &Tensor, ids: &[u32]| table.index_select(&Tensor::new(ids, table.device())?, 0);
        let sum = (rows(&self.word, input_ids)? + rows(&self.token_type, token_type_ids)?)?;
        let sum = (sum + rows(&self.position, position_ids)?)?;
        self.layer_norm.normalize(&sum)
    }
}
