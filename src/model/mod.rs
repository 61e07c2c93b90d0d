//! BERT and its kin: embeddings, a stack of layers, a pooler. It reads like the paper.
//!
//! Other rooms use [`BertModel`]: it chooses the device's operations once, when the weights are
//! loaded. How an operation is computed is in `ops/`. What sets a model type apart is in the
//! [`Config`], which follows from `checkpoint/model_facts.rs`.
//!
//! Source: Devlin et al. 2018 (arXiv:1810.04805); `BertModel` in transformers.

mod attention;
mod batch;
mod embeddings;
mod encoder;
mod layer;
mod loader;
mod output;
mod pooler;
mod relative_position;

use crate::checkpoint::Config;
use crate::error::{Error, Kind, Result};
use crate::ops::device::Device;
use crate::ops::{Backend, Candle, Cpu, Precision};
use crate::weights::Tensors;
pub use batch::Batch;
use encoder::Encoder;
use loader::Loader;
pub(crate) use output::RowPer;
pub use output::{Output, Outputs};

/// The encoder with its weights on one device.
pub struct BertModel {
    encoder: Box<dyn Forward>,
}

/// An encoder on any device.
trait Forward: Send + Sync {
    fn has_pooler(&self) -> bool;

    fn forward(&self, batch: &Batch, outputs: &[Output]) -> Result<Outputs>;
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
            Device::Candle(_) if precision.is_integer() => {
                let cause = "a GPU does not compute in integers";
                let error = Error::message(Kind::Device, cause).context("could not load the model");
                Err(error.with_tip("use --device cpu, or --dtype f16"))
            }
            Device::Candle(device) => Self::on(Candle::new(device, precision), tensors, config),
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

    /// The `outputs` of `batch`, in this order.
    ///
    /// # Errors
    /// [`Kind::Device`] if the device fails, caused by `OutOfMemory` if the batch was
    /// too large.
    pub fn forward(&self, batch: &Batch, outputs: &[Output]) -> Result<Outputs> {
        self.encoder.forward(batch, outputs)
    }
}
