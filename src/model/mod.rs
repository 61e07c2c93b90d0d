//! BERT: embeddings, a stack of layers, a pooler. It reads as the paper.
//!
//! Owns the order of the operations and the names of the tensors they use. Sees candle tensors
//! only: no path, no tokenizer, no JSON. Leaves how an operation is computed to `ops/`.
//!
//! Source: Devlin et al. 2018 (arXiv:1810.04805); `BertModel` in transformers.

mod attention;
mod batch;
mod layer;
mod pooler;

use candle_core::{Device, Tensor};

use crate::checkpoint::{Config, Dtype, TensorView, Tensors};
use crate::error::{Kind, Result};
use crate::ops::{
    Embeddings, LayerNorm, Linear, Projection, Sequences, States, check_sizes, failed,
};
pub use batch::Batch;
use layer::Layer;
use pooler::Pooler;

/// The encoder with its weights on one device.
pub struct BertModel {
    embeddings: Embeddings,
    layers: Vec<Layer>,
    pooler: Option<Pooler>,
}

/// What a caller asks of the encoder; the rest is not computed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The output of the last layer.
    pub last_hidden_state: bool,
    /// The pooler's output, where the checkpoint has a pooler.
    pub pooler_output: bool,
    /// Hidden states by number, in any order: 0 is the embedding output, n the output of layer n.
    pub hidden_states: Vec<usize>,
}

impl Wanted {
    /// What transformers' `BertModel` returns.
    #[must_use]
    pub fn last_and_pooler() -> Self {
        Self {
            last_hidden_state: true,
            pooler_output: true,
            hidden_states: Vec::new(),
        }
    }
}

/// What the encoder gave, only what was wanted, in f32; on a GPU it may not be computed yet.
#[derive(Default)]
pub struct Outputs {
    /// `[tokens, hidden]`
    pub last_hidden_state: Option<Tensor>,
    /// `[sequences, hidden]`
    pub pooler_output: Option<Tensor>,
    /// `[tokens, hidden]` each, in the order of [`Wanted::hidden_states`].
    pub hidden_states: Vec<Tensor>,
}

impl Outputs {
    /// Whether every tensor is the CPU's.
    #[must_use]
    pub fn are_on_the_host(&self) -> bool {
        let one = [&self.last_hidden_state, &self.pooler_output];
        one.into_iter()
            .flatten()
            .chain(&self.hidden_states)
            .all(|tensor| tensor.device().is_cpu())
    }
}

impl BertModel {
    /// The model whose tensors are `tensors`, on `device`. Those that are wider than `dtype` are
    /// rounded to it; a GPU computes in it, the CPU in f32 all the same.
    ///
    /// # Errors
    /// [`crate::error::Kind::Model`] where a tensor is missing or has another shape, [`crate::error::Kind::Device`]
    /// where the device has no memory for it.
    pub fn load(tensors: &Tensors, config: &Config, device: &Device, dtype: Dtype) -> Result<Self> {
        let loader = Loader {
            tensors,
            config,
            device,
            dtype,
        };
        loader.model().map_err(|error| match error.kind() {
            Kind::Device => error.context("could not load the model"),
            _ => error,
        })
    }

    /// Whether the checkpoint has a pooler.
    #[must_use]
    pub fn has_pooler(&self) -> bool {
        self.pooler.is_some()
    }

    /// The wanted outputs for every token of `batch`.
    ///
    /// # Errors
    /// [`crate::error::Kind::Device`] where the device fails, caused by [`crate::ops::OutOfMemory`] where
    /// the batch was too large.
    pub fn forward(&self, batch: &Batch, wanted: &Wanted) -> Result<Outputs> {
        self.encode(batch, wanted).map_err(failed)
    }

    fn encode(&self, batch: &Batch, wanted: &Wanted) -> candle_core::Result<Outputs> {
        let mut hidden = vec![None; wanted.hidden_states.len()];
        let mut keep = |number: usize, state: &States| -> candle_core::Result<()> {
            let places = wanted.hidden_states.iter().zip(&mut hidden);
            for (_, place) in places.filter(|(wanted, _)| **wanted == number) {
                *place = Some(state.rows()?);
            }
            Ok(())
        };
        let sequences = Sequences::new(&batch.sequences);
        let mut state = self.embeddings.forward(
            &batch.input_ids,
            &batch.token_type_ids,
            &batch.position_ids,
        )?;
        keep(0, &state)?;
        for (number, layer) in self.layers[..self.layers_needed(wanted)].iter().enumerate() {
            state = layer.forward(&state, &sequences)?;
            keep(number + 1, &state)?;
        }
        let pooler = self.pooler.as_ref().filter(|_| wanted.pooler_output);
        let pooler_output = pooler
            .map(|pooler| pooler.forward(&state, &batch.sequences))
            .transpose()?;
        let last_hidden_state = wanted.last_hidden_state.then(|| state.rows());
        Ok(Outputs {
            last_hidden_state: last_hidden_state.transpose()?,
            pooler_output,
            hidden_states: hidden.into_iter().flatten().collect(),
        })
    }

    /// The layers that the wanted outputs rest on.
    fn layers_needed(&self, wanted: &Wanted) -> usize {
        if wanted.last_hidden_state || wanted.pooler_output {
            return self.layers.len();
        }
        wanted
            .hidden_states
            .iter()
            .copied()
            .max()
            .unwrap_or(0)
            .min(self.layers.len())
    }
}

/// Finds the parts of the model by the checkpoint's names.
struct Loader<'a> {
    tensors: &'a Tensors,
    config: &'a Config,
    device: &'a Device,
    dtype: Dtype,
}

impl Loader<'_> {
    fn model(&self) -> Result<BertModel> {
        let Config {
            hidden_size,
            num_attention_heads,
            ..
        } = *self.config;
        check_sizes(hidden_size, hidden_size / num_attention_heads, self.device)?;
        let layers = (0..self.config.num_hidden_layers).map(|number| Layer::load(self, number));
        Ok(BertModel {
            embeddings: self.embeddings()?,
            layers: layers.collect::<Result<_>>()?,
            pooler: Pooler::load(self)?,
        })
    }

    fn parameter(&self, name: &str, shape: &[usize]) -> Result<TensorView> {
        Ok(self.tensors.get(name, shape)?.at_most(self.dtype))
    }

    fn embeddings(&self) -> Result<Embeddings> {
        let Config {
            vocab_size,
            hidden_size,
            max_position_embeddings,
            type_vocab_size,
            ..
        } = *self.config;
        let table = |name: &str, rows: usize| {
            // Rounded row by row, for few rows of a table are ever read.
            self.tensors
                .get(&format!("embeddings.{name}.weight"), &[rows, hidden_size])
        };
        let word = table("word_embeddings", vocab_size)?;
        let position = table("position_embeddings", max_position_embeddings)?;
        let token_type = table("token_type_embeddings", type_vocab_size)?;
        let layer_norm = self.layer_norm("embeddings.LayerNorm")?;
        let tables = [&word, &position, &token_type];
        Embeddings::load(tables, layer_norm, self.device, self.dtype).map_err(failed)
    }

    fn layer_norm(&self, name: &str) -> Result<LayerNorm> {
        let shape = [self.config.hidden_size];
        let weight = self.parameter(&format!("{name}.weight"), &shape)?;
        let bias = self.parameter(&format!("{name}.bias"), &shape)?;
        LayerNorm::load(&weight, &bias, self.config.layer_norm_eps, self.device).map_err(failed)
    }

    /// `names` side by side, each `[out_features, in_features]`.
    fn linear(&self, names: &[String], out_features: usize, in_features: usize) -> Result<Linear> {
        let projection = |name: &String| {
            Ok(Projection {
                weight: self.parameter(&format!("{name}.weight"), &[out_features, in_features])?,
                bias: self.parameter(&format!("{name}.bias"), &[out_features])?,
            })
        };
        let projections = names.iter().map(projection).collect::<Result<Vec<_>>>()?;
        Linear::load(&projections, self.device, self.dtype).map_err(failed)
    }
}
