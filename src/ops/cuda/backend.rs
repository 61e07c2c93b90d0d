//! The operations of a GPU: parameters in its memory, vectors as rows.

use candle_core::{CudaDevice, Tensor};

use super::cause::failed;
use super::definitions::{LARGE_HEAD, THREADS, VALUES};
use super::launches::{self, DeviceNorm};
use super::tiles::Tiles;
use super::upload::Upload;
use crate::error::{Error, Kind, Result};
use crate::ops::{
    Activation, Backend, LinearRole, NormTensors, OutputTensor, Precision, Projection, Sequence,
};
use crate::weights::TensorView;

/// A GPU that computes in one precision.
pub(crate) struct Cuda {
    upload: Upload,
}

impl Cuda {
    pub(crate) fn new(gpu: &CudaDevice, precision: Precision) -> Self {
        Self {
            upload: Upload::new(gpu, precision.dtype()),
        }
    }

    fn norm(&self, norm: &NormTensors) -> candle_core::Result<DeviceNorm> {
        Ok(DeviceNorm {
            gamma: self.upload.stacked_f32(&[&norm.weight])?,
            beta: self.upload.stacked_f32(&[&norm.bias])?,
            eps: norm.eps as f32,
        })
    }
}

/// One row a token.
pub(crate) struct RowStates {
    /// `[tokens, features]`
    rows: Tensor,
    /// What must still be added to each row, `[features]`; the next operation does so while it
    /// reads.
    bias: Option<Tensor>,
}

impl RowStates {
    fn new(rows: Tensor) -> Self {
        Self { rows, bias: None }
    }

    /// The rows, if no bias is pending.
    fn finished(&self) -> Result<&Tensor> {
        match self.bias {
            None => Ok(&self.rows),
            Some(_) => Err(Error::message(
                Kind::Internal,
                "these vectors are not finished: a bias is still to be added",
            )),
        }
    }
}

/// All projections in one tensor.
pub(crate) struct CudaLinear {
    /// `[out_features, in_features]` in the type that the model computes in.
    weight: Tensor,
    /// `[out_features]` in f32.
    bias: Tensor,
}

/// The tables with their normalization.
pub(crate) struct CudaEmbeddings {
    /// Each `[rows, hidden]`.
    tables: Vec<Tensor>,
    layer_norm: DeviceNorm,
}

impl Backend for Cuda {
    type HiddenStates = RowStates;
    type Linear = CudaLinear;
    type LayerNorm = DeviceNorm;
    type Embeddings = CudaEmbeddings;
    type Sequences = Tiles;

    fn check_sizes(&self, hidden_size: usize, head_dim: usize) -> Result<()> {
        for (what, size, most) in [
            ("hidden_size", hidden_size, THREADS * VALUES),
            ("a head's size", head_dim, LARGE_HEAD),
        ] {
            if size > most {
                let cause = format!("{what} is {size}, on a GPU it is {most} at most");
                return Err(Error::message(Kind::Device, cause).with_tip("use --device cpu"));
            }
        }
        Ok(())
    }

    fn load_linear(&self, projections: &[Projection], _role: LinearRole) -> Result<CudaLinear> {
        let weights: Vec<_> = projections.iter().map(|it| &it.weight).collect();
        let biases: Vec<_> = projections.iter().map(|it| &it.bias).collect();
        Ok(CudaLinear {
            weight: self.upload.stacked(&weights).map_err(failed)?,
            bias: self.upload.stacked_f32(&biases).map_err(failed)?,
        })
    }

    fn load_layer_norm(&self, norm: &NormTensors) -> Result<DeviceNorm> {
        self.norm(norm).map_err(failed)
    }

    fn load_embeddings(&self, tables: &[TensorView], norm: &NormTensors) -> Result<CudaEmbeddings> {
        let upload = |table| self.upload.computed_with(table).map_err(failed);
        Ok(CudaEmbeddings {
            tables: tables.iter().map(upload).collect::<Result<_>>()?,
            layer_norm: self.load_layer_norm(norm)?,
        })
    }

    fn sequences(&self, sequences: &[Sequence], head_dim: usize) -> Result<Tiles> {
        Tiles::upload(sequences, head_dim, &self.upload).map_err(failed)
    }

    fn embeddings(embeddings: &CudaEmbeddings, ids: &[&[u32]]) -> Result<RowStates> {
        launches::embeddings(&embeddings.tables, ids, &embeddings.layer_norm)
            .map(RowStates::new)
            .map_err(failed)
    }

    fn linear(linear: &CudaLinear, x: &RowStates, activation: Activation) -> Result<RowStates> {
        let x = x.finished()?;
        let rows = linear.weight.t().and_then(|weight| x.matmul(&weight));
        let rows = rows.map_err(failed)?;
        if activation == Activation::None {
            let bias = Some(linear.bias.clone());
            return Ok(RowStates { rows, bias });
        }
        launches::bias_activation(&rows, &linear.bias, activation).map_err(failed)?;
        Ok(RowStates::new(rows))
    }

    fn attention(
        query_key_value: &RowStates,
        sequences: &Tiles,
        heads: usize,
    ) -> Result<RowStates> {
        let RowStates { rows, bias } = query_key_value;
        launches::attention(rows, bias.as_ref(), sequences, heads)
            .map(RowStates::new)
            .map_err(failed)
    }

    /// All tokens first: the kernel takes query, key and value side by side.
    fn first_token_attention(
        query_key_value: &CudaLinear,
        hidden: &RowStates,
        sequences: &Tiles,
        heads: usize,
    ) -> Result<RowStates> {
        let query_key_value = Self::linear(query_key_value, hidden, Activation::None)?;
        let context = Self::attention(&query_key_value, sequences, heads)?;
        Self::select(&context, &sequences.first_tokens)
    }

    fn attention_probs(
        query_key_value: &RowStates,
        sequences: &Tiles,
        heads: usize,
    ) -> Result<OutputTensor> {
        let RowStates { rows, bias } = query_key_value;
        launches::attention_probs(rows, bias.as_ref(), sequences, heads)
            .map(OutputTensor::Cuda)
            .map_err(failed)
    }

    fn add_layer_norm(norm: &DeviceNorm, x: &RowStates, residual: &RowStates) -> Result<RowStates> {
        launches::add_layer_norm(&x.rows, x.bias.as_ref(), residual.finished()?, norm)
            .map(RowStates::new)
            .map_err(failed)
    }

    fn select(x: &RowStates, tokens: &[usize]) -> Result<RowStates> {
        launches::select(x.finished()?, tokens)
            .map(RowStates::new)
            .map_err(failed)
    }

    fn rows(x: &RowStates) -> Result<OutputTensor> {
        launches::widen(x.finished()?)
            .map(OutputTensor::Cuda)
            .map_err(failed)
    }
}
