//! What a device must compute for the encoder.

use std::sync::Arc;

use super::{Activation, AttentionBias, OutputTensor, Sequence};
use crate::error::Result;
use crate::weights::TensorView;

/// The weight of a linear layer and its bias, as the checkpoint stores them.
pub(crate) struct Projection {
    /// `[out_features, in_features]`
    pub(crate) weight: TensorView,
    /// `[out_features]`
    pub(crate) bias: TensorView,
}

/// What a linear layer is for; some tolerate less rounding than others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinearRole {
    /// Query, key and value of attention.
    QueryKeyValue,
    /// The other linear layers of an encoder's layer.
    Hidden,
    /// The projection of embeddings that are narrower than the layers.
    Embeddings,
    /// The pooler.
    Pooler,
}

/// The parameters of a layer normalization, as the checkpoint stores them.
pub(crate) struct NormTensors {
    /// The scale, `[hidden]`
    pub(crate) weight: TensorView,
    /// The shift, `[hidden]`
    pub(crate) bias: TensorView,
    /// Added to the variance.
    pub(crate) eps: f64,
}

/// The operations of the encoder on one kind of device.
///
/// `load_…` brings parameters to the device in the precision of the backend. The other functions
/// compute; on a GPU they return before the values are ready.
///
/// # Errors
/// [`crate::error::Kind::Device`] if the device fails, caused by [`super::OutOfMemory`] if it has
/// too little memory.
pub(crate) trait Backend: Send + Sync + 'static {
    /// One vector per token, in the device's layout.
    type HiddenStates;
    /// One or more projections of the same input, their outputs side by side.
    type Linear: Send + Sync;
    type LayerNorm: Send + Sync;
    /// The embedding tables with their normalization.
    type Embeddings: Send + Sync;
    /// The sequences of a batch.
    type Sequences;

    fn load_linear(&self, projections: &[Projection], role: LinearRole) -> Result<Self::Linear>;

    fn load_layer_norm(&self, norm: &NormTensors) -> Result<Self::LayerNorm>;

    /// # Shapes
    /// each table `[rows, hidden]`
    fn load_embeddings(
        &self,
        tables: &[TensorView],
        norm: &NormTensors,
    ) -> Result<Self::Embeddings>;

    /// The values of a small table, rounded as parameters are, in the host's memory.
    fn load_values(&self, table: &TensorView) -> Vec<f32>;

    /// The sequences of a batch, which must follow each other without gaps, and what is added to
    /// their attention scores.
    fn sequences(
        &self,
        sequences: &[Sequence],
        bias: Option<&Arc<AttentionBias>>,
    ) -> Result<Self::Sequences>;

    /// The normalized sum of each token's rows, added in the order of the tables.
    ///
    /// # Shapes
    /// for each table a list of `tokens` ids → `[tokens, hidden]`
    ///
    /// # Errors
    /// Also if an id is not a row of its table.
    fn embeddings(embeddings: &Self::Embeddings, ids: &[&[u32]]) -> Result<Self::HiddenStates>;

    /// activation(x · Wᵀ + b)
    ///
    /// # Shapes
    /// `x` `[tokens, in_features]` → `[tokens, out_features of all projections]`
    fn linear(
        linear: &Self::Linear,
        x: &Self::HiddenStates,
        activation: Activation,
    ) -> Result<Self::HiddenStates>;

    /// The context of each token: softmax(query · keyᵀ / √`head_dim` + bias) · value.
    ///
    /// Source: Vaswani et al. 2017, section 3.2 (arXiv:1706.03762). Padding tokens get a context
    /// too, but no token attends to them.
    ///
    /// # Shapes
    /// `query_key_value` `[tokens, 3 × hidden]`, hidden = `heads` × `head_dim` → `[tokens, hidden]`
    fn attention(
        query_key_value: &Self::HiddenStates,
        sequences: &Self::Sequences,
        heads: usize,
    ) -> Result<Self::HiddenStates>;

    /// The context of the first token of each sequence, given the projections to query, key and
    /// value. The values equal those of [`Backend::linear`] and [`Backend::attention`], for less
    /// work.
    ///
    /// # Shapes
    /// `hidden` `[tokens, hidden]` → `[sequences, hidden]`
    fn first_token_attention(
        query_key_value: &Self::Linear,
        hidden: &Self::HiddenStates,
        sequences: &Self::Sequences,
        heads: usize,
    ) -> Result<Self::HiddenStates>;

    /// The attention probabilities: softmax(query · keyᵀ / √`head_dim` + bias). A key that no token
    /// attends to has zero.
    ///
    /// # Shapes
    /// `query_key_value` `[tokens, 3 × hidden]` → `[heads, tokens, tokens]` for each sequence in
    /// turn
    fn attention_probs(
        query_key_value: &Self::HiddenStates,
        sequences: &Self::Sequences,
        heads: usize,
    ) -> Result<OutputTensor>;

    /// The normalization of `x + residual`.
    ///
    /// Source: Ba, Kiros and Hinton 2016 (arXiv:1607.06450). The variance is the mean of the
    /// squared distances, computed in a second pass: `E[x²] − E[x]²` loses digits if a row has a
    /// large mean.
    ///
    /// # Shapes
    /// `x`, `residual` `[tokens, hidden]` → `[tokens, hidden]`
    fn add_layer_norm(
        norm: &Self::LayerNorm,
        x: &Self::HiddenStates,
        residual: &Self::HiddenStates,
    ) -> Result<Self::HiddenStates>;

    /// The vectors of some tokens, in the order of `tokens`.
    fn select(x: &Self::HiddenStates, tokens: &[usize]) -> Result<Self::HiddenStates>;

    /// The vectors as rows in f32, token after token.
    fn rows(x: &Self::HiddenStates) -> Result<OutputTensor>;
}
