//! BERT: embeddings, a stack of layers, a pooler. It reads like the paper.
//!
//! Other rooms use [`BertModel`]: it chooses the device's operations once, when the weights are
//! loaded. How an operation is computed is in `ops/`.
//!
//! Source: Devlin et al. 2018 (arXiv:1810.04805); `BertModel` in transformers.

mod attention;
mod batch;
mod encoder;
mod layer;
mod loader;
mod pooler;

use crate::checkpoint::Config;
#[cfg(feature = "cuda")]
use crate::error::Error;
use crate::error::{Kind, Result};
#[cfg(feature = "cuda")]
use crate::ops::Cuda;
use crate::ops::device::Device;
use crate::ops::{Backend, Cpu, OutputTensor, Precision};
use crate::weights::Tensors;
pub use batch::Batch;
use encoder::Encoder;
use loader::Loader;

/// The encoder with its weights on one device.
pub struct BertModel {
    encoder: Box<dyn Forward>,
}

/// What a caller asks of the encoder; the rest is not computed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputSelection {
    /// The output of the last layer.
    pub last_hidden_state: bool,
    /// The last layer's output for the first token of each sequence, `[CLS]`.
    pub first_tokens: bool,
    /// The pooler's output, if the checkpoint has a pooler.
    pub pooler_output: bool,
    /// Hidden states by number, in any order: 0 is the embedding output, n the output of layer n.
    pub hidden_states: Vec<usize>,
    /// Attention probabilities by number, in any order: n are those of layer n, from 1.
    pub attentions: Vec<usize>,
}

impl OutputSelection {
    /// What transformers' `BertModel` returns.
    #[must_use]
    pub fn last_and_pooler() -> Self {
        Self {
            last_hidden_state: true,
            pooler_output: true,
            ..Self::default()
        }
    }

    /// The layers that the selected outputs depend on, of `layers` layers.
    fn layers_needed(&self, layers: usize) -> usize {
        if self.last_hidden_state || self.first_tokens || self.pooler_output {
            return layers;
        }
        let numbers = self.hidden_states.iter().chain(&self.attentions);
        numbers.copied().max().unwrap_or(0).min(layers)
    }

    /// Whether the output of layer `last` is needed for the first tokens and for no others.
    fn takes_only_first_tokens(&self, last: usize) -> bool {
        !self.last_hidden_state
            && (self.first_tokens || self.pooler_output)
            && !self.hidden_states.contains(&last)
            && !self.attentions.contains(&last)
    }
}

/// The outputs that were selected, in f32: as the device has them, on their way to the host, or as
/// numbers there.
#[derive(Default)]
pub struct Outputs<T = OutputTensor> {
    /// `[tokens, hidden]`
    pub last_hidden_state: Option<T>,
    /// `[sequences, hidden]`
    pub first_tokens: Option<T>,
    /// `[sequences, hidden]`
    pub pooler_output: Option<T>,
    /// `[tokens, hidden]` each, in the order of [`OutputSelection::hidden_states`].
    pub hidden_states: Vec<T>,
    /// `[heads, tokens, tokens]` of one sequence after the other, in the order of
    /// [`OutputSelection::attentions`].
    pub attentions: Vec<T>,
}

impl<T> Outputs<T> {
    /// No output.
    pub(crate) fn none() -> Self {
        Self {
            last_hidden_state: None,
            first_tokens: None,
            pooler_output: None,
            hidden_states: Vec::new(),
            attentions: Vec::new(),
        }
    }

    /// What `change` makes of each.
    pub(crate) fn try_map<U>(self, change: impl Fn(T) -> Result<U>) -> Result<Outputs<U>> {
        let each = |outputs: Vec<T>| outputs.into_iter().map(&change).collect::<Result<_>>();
        Ok(Outputs {
            last_hidden_state: self.last_hidden_state.map(&change).transpose()?,
            first_tokens: self.first_tokens.map(&change).transpose()?,
            pooler_output: self.pooler_output.map(&change).transpose()?,
            hidden_states: each(self.hidden_states)?,
            attentions: each(self.attentions)?,
        })
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let one = [
            &self.last_hidden_state,
            &self.first_tokens,
            &self.pooler_output,
        ];
        let several = self.hidden_states.iter().chain(&self.attentions);
        one.into_iter().flatten().chain(several)
    }
}

/// An encoder on any device.
trait Forward: Send + Sync {
    fn has_pooler(&self) -> bool;

    fn forward(&self, batch: &Batch, selection: &OutputSelection) -> Result<Outputs>;
}

impl BertModel {
    /// The model whose tensors are `tensors`, on `device`. Those that are wider than `precision`
    /// are rounded to it; a GPU computes in it, the CPU in f32 or, if asked to, in integers.
    ///
    /// # Errors
    /// [`Kind::Model`] if a tensor is missing or has another shape, [`Kind::Device`] if the device
    /// has no memory for it, or does not compute in this precision.
    pub fn load(
        tensors: &Tensors,
        config: &Config,
        device: &Device,
        precision: Precision,
    ) -> Result<Self> {
        match device {
            Device::Cpu => Self::on(Cpu::new(precision), tensors, config),
            #[cfg(feature = "cuda")]
            Device::Cuda(_) if precision.is_integer() => {
                let cause = "a GPU does not compute in integers";
                let error = Error::message(Kind::Device, cause).context("could not load the model");
                Err(error.with_tip("use --device cpu, or --dtype f16"))
            }
            #[cfg(feature = "cuda")]
            Device::Cuda(gpu) => Self::on(Cuda::new(gpu, precision), tensors, config),
        }
    }

    fn on<B: Backend>(backend: B, tensors: &Tensors, config: &Config) -> Result<Self> {
        let loader = Loader {
            tensors,
            config,
            backend,
        };
        let encoder = Encoder::load(loader).map_err(|error| match error.kind() {
            Kind::Device => error.context("could not load the model"),
            _ => error,
        })?;
        Ok(Self {
            encoder: Box::new(encoder),
        })
    }

    /// Whether the checkpoint has a pooler.
    #[must_use]
    pub fn has_pooler(&self) -> bool {
        self.encoder.has_pooler()
    }

    /// The selected outputs for every token of `batch`.
    ///
    /// # Errors
    /// [`Kind::Device`] if the device fails, caused by [`crate::ops::OutOfMemory`] if the batch was
    /// too large.
    pub fn forward(&self, batch: &Batch, selection: &OutputSelection) -> Result<Outputs> {
        self.encoder.forward(batch, selection)
    }
}
