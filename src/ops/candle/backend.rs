//! The operations of the encoder in candle's words.

use std::sync::Arc;

use candle_core::{D, DType, Device, Module, Result, Tensor, bail};
use candle_nn::ops::layer_norm;

use super::attention::{self, PaddedSequences};
use super::failure::failed;
use crate::error::{Error, Kind, Result as CrateResult};
use crate::ops::{
    Activation, AttentionBias, Backend, LinearRole, NormTensors, OutputTensor, Precision,
    Projection, Sequence,
};
use crate::weights::{Dtype, TensorView};

/// The most tokens in a batch: candle's kernels count values in 32 bits, and the intermediate size
/// of the largest models is 4096.
const MOST_TOKENS: usize = 1 << 19;

/// A device of candle that computes in one precision.
pub(crate) struct Candle {
    device: Device,
    dtype: Dtype,
}

impl Candle {
    pub(crate) fn new(device: &Device, precision: Precision) -> Self {
        Self {
            device: device.clone(),
            dtype: precision.dtype(),
        }
    }

    /// `view`, rounded to the precision if it is wider, as a tensor of `dtype`.
    fn upload(&self, view: &TensorView, dtype: DType) -> Result<Tensor> {
        let view = view.at_most(self.dtype);
        let stored = candle_dtype(view.dtype());
        Tensor::from_raw_buffer(view.bytes(), stored, view.shape(), &self.device)?.to_dtype(dtype)
    }

    /// Tensors of the precision, the rows of one below those of the other.
    fn upload_stacked<'a>(&self, views: impl Iterator<Item = &'a TensorView>) -> Result<Tensor> {
        let dtype = candle_dtype(self.dtype);
        let tensors: Result<Vec<_>> = views.map(|view| self.upload(view, dtype)).collect();
        Tensor::cat(&tensors?, 0)
    }

    fn upload_norm(&self, norm: &NormTensors) -> Result<CandleLayerNorm> {
        Ok(CandleLayerNorm {
            weight: self.upload(&norm.weight, DType::F32)?,
            bias: self.upload(&norm.bias, DType::F32)?,
            eps: norm.eps as f32,
        })
    }
}

fn candle_dtype(dtype: Dtype) -> DType {
    match dtype {
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
    }
}

/// The parameters of a layer normalization, in f32.
pub(crate) struct CandleLayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f32,
}

impl CandleLayerNorm {
    /// The normalized rows of `x`, which is f32.
    ///
    /// candle's kernel takes the variance as `E[x²] − E[x]²`, which loses digits unless the mean is
    /// near zero: so it is subtracted before.
    fn normalize(&self, x: &Tensor) -> Result<Tensor> {
        let centered = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        layer_norm(&centered, &self.weight, &self.bias, self.eps)
    }
}

/// The embedding tables with their normalization.
pub(crate) struct CandleEmbeddings {
    /// `[rows, hidden]` each, in the order in which their rows are added.
    tables: Vec<Tensor>,
    layer_norm: CandleLayerNorm,
}

impl CandleEmbeddings {
    fn forward(&self, ids: &[&[u32]]) -> Result<Tensor> {
        let mut sum: Option<Tensor> = None;
        for (table, ids) in self.tables.iter().zip(ids) {
            let rows = select_rows(table, ids)?.to_dtype(DType::F32)?;
            sum = Some(match sum {
                Some(sum) => (sum + rows)?,
                None => rows,
            });
        }
        let Some(sum) = sum else {
            bail!("embeddings: no tables");
        };
        let dtype = self.tables[0].dtype();
        self.layer_norm.normalize(&sum)?.to_dtype(dtype)
    }
}

/// Some rows of `table`. A GPU does not check that they exist.
fn select_rows(table: &Tensor, rows: &[u32]) -> Result<Tensor> {
    let count = table.dim(0)?;
    if let Some(row) = rows.iter().find(|row| **row as usize >= count) {
        bail!("row {row} of a table of {count} rows");
    }
    table.index_select(&Tensor::new(rows, table.device())?, 0)
}

impl Backend for Candle {
    /// `[tokens, features]`
    type HiddenStates = Tensor;
    type Linear = candle_nn::Linear;
    type LayerNorm = CandleLayerNorm;
    type Embeddings = CandleEmbeddings;
    type Sequences = PaddedSequences;

    fn load_linear(
        &self,
        projections: &[Projection],
        _role: LinearRole,
    ) -> CrateResult<candle_nn::Linear> {
        let load = || {
            let weight = self.upload_stacked(projections.iter().map(|it| &it.weight))?;
            let bias = self.upload_stacked(projections.iter().map(|it| &it.bias))?;
            Ok(candle_nn::Linear::new(weight, Some(bias)))
        };
        load().map_err(failed)
    }

    fn load_layer_norm(&self, norm: &NormTensors) -> CrateResult<CandleLayerNorm> {
        self.upload_norm(norm).map_err(failed)
    }

    fn load_embeddings(
        &self,
        tables: &[TensorView],
        norm: &NormTensors,
    ) -> CrateResult<CandleEmbeddings> {
        let dtype = candle_dtype(self.dtype);
        let load = || {
            let tables = tables.iter().map(|table| self.upload(table, dtype));
            Ok(CandleEmbeddings {
                tables: tables.collect::<Result<_>>()?,
                layer_norm: self.upload_norm(norm)?,
            })
        };
        load().map_err(failed)
    }

    fn load_values(&self, table: &TensorView) -> Vec<f32> {
        table.at_most(self.dtype).to_f32()
    }

    fn sequences(
        &self,
        sequences: &[Sequence],
        bias: Option<&Arc<AttentionBias>>,
    ) -> CrateResult<PaddedSequences> {
        let tokens: usize = sequences.iter().map(|it| it.tokens).sum();
        if tokens > MOST_TOKENS {
            let cause = format!("{tokens} tokens are too many for one batch");
            let error = Error::message(Kind::Device, cause);
            return Err(error.with_tip(format!("use --batch-tokens {MOST_TOKENS} or fewer")));
        }
        let bias = bias.map(AsRef::as_ref);
        PaddedSequences::new(sequences, bias, &self.device).map_err(failed)
    }

    fn embeddings(embeddings: &CandleEmbeddings, ids: &[&[u32]]) -> CrateResult<Tensor> {
        embeddings.forward(ids).map_err(failed)
    }

    fn linear(
        linear: &candle_nn::Linear,
        x: &Tensor,
        activation: Activation,
    ) -> CrateResult<Tensor> {
        let forward = || activate(linear.forward(x)?, activation);
        forward().map_err(failed)
    }

    fn attention(
        query_key_value: &Tensor,
        sequences: &PaddedSequences,
        heads: usize,
    ) -> CrateResult<Tensor> {
        attention::context(query_key_value, sequences, heads).map_err(failed)
    }

    /// Computes the context of all tokens: of this layer's work, the feed-forward that follows is
    /// the larger part, and it gets the first tokens alone.
    fn first_token_attention(
        query_key_value: &candle_nn::Linear,
        hidden: &Tensor,
        sequences: &PaddedSequences,
        heads: usize,
    ) -> CrateResult<Tensor> {
        let query_key_value = Self::linear(query_key_value, hidden, Activation::None)?;
        let context = Self::attention(&query_key_value, sequences, heads)?;
        Self::select(&context, &sequences.first_tokens)
    }

    fn attention_probs(
        query_key_value: &Tensor,
        sequences: &PaddedSequences,
        heads: usize,
    ) -> CrateResult<OutputTensor> {
        attention::probs(query_key_value, sequences, heads)
            .map(OutputTensor::Candle)
            .map_err(failed)
    }

    fn add_layer_norm(
        norm: &CandleLayerNorm,
        x: &Tensor,
        residual: &Tensor,
    ) -> CrateResult<Tensor> {
        let forward = || {
            let sum = (x.to_dtype(DType::F32)? + residual.to_dtype(DType::F32)?)?;
            norm.normalize(&sum)?.to_dtype(x.dtype())
        };
        forward().map_err(failed)
    }

    fn select(x: &Tensor, tokens: &[usize]) -> CrateResult<Tensor> {
        let rows: Vec<u32> = tokens.iter().map(|token| *token as u32).collect();
        select_rows(x, &rows).map_err(failed)
    }

    fn rows(x: &Tensor) -> CrateResult<OutputTensor> {
        x.to_dtype(DType::F32)
            .map(OutputTensor::Candle)
            .map_err(failed)
    }
}

fn activate(x: Tensor, activation: Activation) -> Result<Tensor> {
    match activation {
        Activation::None => Ok(x),
        Activation::Gelu => x.gelu_erf(),
        // candle's `gelu`; in half precision each of its steps would round.
        Activation::GeluTanh => x.to_dtype(DType::F32)?.gelu()?.to_dtype(x.dtype()),
        Activation::Relu => x.relu(),
        Activation::Tanh => x.tanh(),
    }
}
