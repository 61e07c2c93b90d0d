//! This crate's encoder, loaded without a tokenizer: the peers begin at token ids too.

use std::path::Path;

use anyhow::{Context, Error, Result};
use bert_embed::Precision;
use bert_embed::internals::Config;
use bert_embed::internals::Tensors;
use bert_embed::internals::{Batch, BertModel, Output, Outputs};
use bert_embed::internals::{Device, device};
use clap::ValueEnum;

use crate::Engine;

/// The encoder on the checkpoint's mapped bytes.
pub(crate) struct Ours {
    model: BertModel,
    device: Device,
}

impl Ours {
    pub(crate) fn load(directory: &str, device: &str, dtype: &str) -> Result<Self> {
        device::reuse_memory();
        let directory = Path::new(directory);
        let config = Config::read(directory)?;
        let tensors = Tensors::open(directory, config.model_type)?;
        tensors.check(&config)?;
        let dtype = Precision::from_str(dtype, false).map_err(Error::msg)?;
        let device = device::open(device.parse().map_err(Error::msg)?)?;
        let model = BertModel::load(&tensors, &config, &device, dtype)?;
        Ok(Self { model, device })
    }

    /// The outputs in batches of the program's own budget of tokens.
    fn forward(&self, sequences: &[Vec<u32>]) -> Result<Vec<Outputs>> {
        let mut outputs = Vec::new();
        let mut batch = Batch::default();
        let max_tokens = device::batch_tokens(&self.device);
        for input_ids in sequences {
            if batch.input_ids.len() + input_ids.len() > max_tokens {
                outputs.push(self.encode(&std::mem::take(&mut batch))?);
            }
            batch.push(input_ids, &vec![0; input_ids.len()], input_ids.len());
        }
        outputs.push(self.encode(&batch)?);
        Ok(outputs)
    }

    fn encode(&self, batch: &Batch) -> Result<Outputs> {
        Ok(self.model.forward(batch, &Output::LAST_AND_POOLER)?)
    }
}

impl Engine for Ours {
    fn run(&self, batch: &[Vec<u32>]) -> Result<()> {
        let outputs = self.forward(batch)?;
        // A GPU may only have begun.
        device::synchronize(&self.device)?;
        drop(outputs);
        Ok(())
    }

    fn last_hidden_state(&self, batch: &[Vec<u32>]) -> Result<Vec<f32>> {
        let mut rows = Vec::new();
        for outputs in self.forward(batch)? {
            let states = outputs.into(Output::LastHiddenState);
            let states = states.context("the last hidden state was asked for")?;
            rows.extend(states.into_host()?);
        }
        Ok(rows)
    }
}
