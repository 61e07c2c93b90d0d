//! The operations of the CPU: parameters where the checkpoint has them, vectors in panels.

use std::sync::Arc;

use super::buffer::{AlignedValues, written_by};
use super::linear::Scheme;
use super::weights::{CpuProjection, Parameter, table_rows};
use super::{NormParameters, PanelLayout, SharedOut};
use crate::error::Result;
use crate::ops::cpu as kernels;
use crate::ops::{
    Activation, AttentionBias, Backend, LinearRole, NormTensors, OutputTensor, Precision,
    Projection, Sequence,
};
use crate::weights::{Dtype, TensorView};

/// The CPU, computing in f32 with parameters of a chosen precision.
pub(crate) struct Cpu {
    precision: Precision,
    /// The precision that parameters are rounded to if they are not quantized.
    dtype: Dtype,
}

impl Cpu {
    pub(crate) fn new(precision: Precision) -> Self {
        Self {
            precision,
            dtype: precision.dtype(),
        }
    }

    /// How the weights of projection `index` of a linear layer are quantized, if they are.
    ///
    /// int8 leaves the value of attention in int16, because it has the most effect on the error
    /// (`linear/integers/mod.rs`). The pooler and the projection of the embeddings would gain
    /// nothing: the pooler computes one vector per text, the projection is small.
    fn scheme(&self, role: LinearRole, index: usize) -> Option<Scheme> {
        const VALUE: usize = 2;
        match (self.precision, role) {
            (Precision::F32 | Precision::F16 | Precision::Bf16, _)
            | (_, LinearRole::Pooler | LinearRole::Embeddings) => None,
            (Precision::Int16, LinearRole::QueryKeyValue | LinearRole::Hidden) => {
                Some(Scheme::Int16)
            }
            (Precision::Int8, LinearRole::QueryKeyValue) if index == VALUE => Some(Scheme::Int16),
            (Precision::Int8, LinearRole::QueryKeyValue | LinearRole::Hidden) => Some(Scheme::Int8),
        }
    }
}

/// One vector per token, in panels (`panel.rs`).
pub(crate) struct PanelStates {
    values: AlignedValues,
    layout: PanelLayout,
}

impl PanelStates {
    /// What `kernel` writes.
    ///
    /// # Safety
    /// `kernel` must write every panel, and zero in the lanes without a token.
    unsafe fn written_by(layout: PanelLayout, kernel: impl FnOnce(SharedOut)) -> Self {
        // SAFETY: the caller's promise.
        let values = unsafe { AlignedValues::written_by(layout.size(), kernel) };
        Self { values, layout }
    }

    /// Part `part` of `parts` equal parts of the features.
    fn part(&self, part: usize, parts: usize) -> kernels::PanelSlice<'_> {
        let features = self.layout.features / parts;
        kernels::PanelSlice {
            values: &self.values,
            layout: self.layout,
            feature: part * features,
            features,
        }
    }
}

/// The parameters of a layer normalization.
pub(crate) struct CpuLayerNorm {
    weight: Parameter,
    bias: Parameter,
    eps: f32,
}

impl CpuLayerNorm {
    fn get(&self) -> NormParameters<'_> {
        NormParameters {
            gamma: self.weight.values(),
            beta: self.bias.values(),
            eps: self.eps,
        }
    }
}

/// The embedding tables in the checkpoint, of which few rows are ever read.
pub(crate) struct CpuEmbeddings {
    tables: Vec<TensorView>,
    layer_norm: CpuLayerNorm,
    /// What the rows are rounded to when they are read.
    dtype: Dtype,
}

impl Backend for Cpu {
    type HiddenStates = PanelStates;
    type Linear = Vec<CpuProjection>;
    type LayerNorm = CpuLayerNorm;
    type Embeddings = CpuEmbeddings;
    type Sequences = kernels::AttentionSequences;

    fn load_linear(
        &self,
        projections: &[Projection],
        role: LinearRole,
    ) -> Result<Vec<CpuProjection>> {
        let load = |(index, projection)| {
            CpuProjection::load(projection, self.scheme(role, index), self.dtype)
        };
        Ok(projections.iter().enumerate().map(load).collect())
    }

    fn load_layer_norm(&self, norm: &NormTensors) -> Result<CpuLayerNorm> {
        Ok(CpuLayerNorm {
            weight: Parameter::load(&norm.weight, self.dtype),
            bias: Parameter::load(&norm.bias, self.dtype),
            eps: norm.eps as f32,
        })
    }

    fn load_embeddings(&self, tables: &[TensorView], norm: &NormTensors) -> Result<CpuEmbeddings> {
        Ok(CpuEmbeddings {
            tables: tables.to_vec(),
            layer_norm: self.load_layer_norm(norm)?,
            dtype: self.dtype,
        })
    }

    fn load_values(&self, table: &TensorView) -> Vec<f32> {
        table.at_most(self.dtype).to_f32()
    }

    fn sequences(
        &self,
        sequences: &[Sequence],
        bias: Option<&Arc<AttentionBias>>,
    ) -> Result<kernels::AttentionSequences> {
        Ok(kernels::AttentionSequences {
            sequences: sequences.to_vec(),
            bias: bias.cloned(),
        })
    }

    fn embeddings(embeddings: &CpuEmbeddings, ids: &[&[u32]]) -> Result<PanelStates> {
        let tables = embeddings.tables.iter().zip(ids);
        let terms = tables.map(|(table, ids)| table_rows(table, ids, embeddings.dtype));
        let terms = terms.collect::<Result<Vec<_>>>()?;
        let norm = embeddings.layer_norm.get();
        let tokens = ids.first().map_or(0, |ids| ids.len());
        // SAFETY: the kernel writes every panel.
        Ok(unsafe {
            PanelStates::written_by(norm.panels(tokens), |out| {
                kernels::embeddings(&terms, norm, tokens, out);
            })
        })
    }

    fn linear(
        linear: &Vec<CpuProjection>,
        x: &PanelStates,
        activation: Activation,
    ) -> Result<PanelStates> {
        Ok(project(linear, x, activation))
    }

    fn attention(
        query_key_value: &PanelStates,
        sequences: &kernels::AttentionSequences,
        heads: usize,
    ) -> Result<PanelStates> {
        let [queries, keys, values] = [0, 1, 2].map(|part| query_key_value.part(part, 3));
        let input = kernels::AttentionInput {
            queries,
            keys,
            values,
        };
        Ok(context(input, sequences, kernels::QueryTokens::All, heads))
    }

    fn first_token_attention(
        query_key_value: &Vec<CpuProjection>,
        hidden: &PanelStates,
        sequences: &kernels::AttentionSequences,
        heads: usize,
    ) -> Result<PanelStates> {
        let (query, key_value) = query_key_value.split_at(1);
        let first_tokens: Vec<_> = sequences.sequences.iter().map(|it| it.start).collect();
        let query = project(
            query,
            &Self::select(hidden, &first_tokens)?,
            Activation::None,
        );
        let key_value = project(key_value, hidden, Activation::None);
        let input = kernels::AttentionInput {
            queries: query.part(0, 1),
            keys: key_value.part(0, 2),
            values: key_value.part(1, 2),
        };
        Ok(context(
            input,
            sequences,
            kernels::QueryTokens::First,
            heads,
        ))
    }

    fn attention_probs(
        query_key_value: &PanelStates,
        sequences: &kernels::AttentionSequences,
        heads: usize,
    ) -> Result<OutputTensor> {
        let [queries, keys] = [0, 1].map(|part| query_key_value.part(part, 3));
        let pairs = sequences.sequences.iter().map(|it| it.tokens * it.tokens);
        let heads = kernels::Heads {
            count: heads,
            head_dim: query_key_value.layout.features / 3 / heads,
        };
        // SAFETY: the kernel writes every probability.
        Ok(OutputTensor::Host(unsafe {
            written_by(heads.count * pairs.sum::<usize>(), |out| {
                kernels::attention_probs(queries, keys, sequences, heads, out);
            })
        }))
    }

    fn add_layer_norm(
        norm: &CpuLayerNorm,
        x: &PanelStates,
        residual: &PanelStates,
    ) -> Result<PanelStates> {
        // SAFETY: the kernel writes every panel.
        Ok(unsafe {
            PanelStates::written_by(x.layout, |out| {
                kernels::add_layer_norm(
                    &x.values,
                    &residual.values,
                    norm.get(),
                    x.layout.tokens,
                    out,
                );
            })
        })
    }

    fn select(x: &PanelStates, tokens: &[usize]) -> Result<PanelStates> {
        let layout = PanelLayout {
            tokens: tokens.len(),
            ..x.layout
        };
        // SAFETY: the kernel writes every panel, and zero if a lane has no token.
        Ok(unsafe {
            PanelStates::written_by(layout, |out| {
                kernels::select(&x.values, x.layout, tokens, out);
            })
        })
    }

    fn rows(x: &PanelStates) -> Result<OutputTensor> {
        let PanelLayout { tokens, features } = x.layout;
        let kernel = |out: SharedOut| kernels::rows(&x.values, x.layout, out);
        // SAFETY: the kernel writes every row.
        Ok(OutputTensor::Host(unsafe {
            written_by(tokens * features, kernel)
        }))
    }
}

/// The projections of `x` side by side.
fn project(projections: &[CpuProjection], x: &PanelStates, activation: Activation) -> PanelStates {
    let matrices: Vec<_> = projections.iter().map(CpuProjection::matrix).collect();
    let layout = PanelLayout {
        tokens: x.layout.tokens,
        features: matrices.iter().map(|it| it.out_features).sum(),
    };
    // SAFETY: the kernel writes every output of every panel.
    unsafe {
        PanelStates::written_by(layout, |out| {
            kernels::linear(&x.values, x.layout, &matrices, activation, out);
        })
    }
}

/// The context of the chosen tokens.
fn context(
    input: kernels::AttentionInput,
    sequences: &kernels::AttentionSequences,
    tokens: kernels::QueryTokens,
    heads: usize,
) -> PanelStates {
    let hidden = input.values.features;
    let layout = PanelLayout {
        tokens: input.queries.layout.tokens,
        features: hidden,
    };
    let heads = kernels::Heads {
        count: heads,
        head_dim: hidden / heads,
    };
    // SAFETY: the kernel writes every query's context, and zero in the lanes without a token.
    unsafe {
        PanelStates::written_by(layout, |out| {
            kernels::attention(input, sequences, tokens, heads, out);
        })
    }
}
