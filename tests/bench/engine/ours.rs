//! This crate's encoder, as `run.rs` loads it.

use std::path::Path;

use anyhow::{Context, Result};
use bert_embed::checkpoint::{Config, Dtype, Tensors};
use bert_embed::cli::BATCH_TOKENS;
use bert_embed::device;
use bert_embed::model::{Batch, BertModel, Outputs, Wanted};
use candle_core::Device;

use crate::Engine;

/// The encoder on the checkpoint's mapped bytes.
pub(crate) struct Ours {
    model: BertModel,
}

impl Ours {
    pub(crate) fn load(directory: &str, dtype: Dtype) -> Result<Self> {
        device::reuse_memory();
        let directory = Path::new(directory);
        let config = Config::read(directory)?;
        let tensors = Tensors::open(directory)?;
        tensors.check(&config)?;
        let model = BertModel::load(&tensors, &config, &Device::Cpu, dtype)?;
        Ok(Self { model })
    }

    /// The outputs in batches of the program's own budget of tokens.
    fn forward(&self, sequences: &[Vec<u32>]) -> Result<Vec<Outputs>> {
        let mut outputs = Vec::new();
        let mut batch = Batch::default();
        for input_ids in sequences {
            if batch.input_ids.len() + input_ids.len() > BATCH_TOKENS as usize {
                outputs.push(self.encode(&std::mem::take(&mut batch))?);
            }
            batch.push(input_ids, &vec![0; input_ids.len()], input_ids.len());
        }
        outputs.push(self.encode(&batch)?);
        Ok(outputs)
    }

    fn encode(&self, batch: &Batch) -> Result<Outputs> {
        Ok(self.model.forward(batch, &Wanted::last_and_pooler())?)
    }
}

impl Engine for Ours {
    fn run(&self, batch: &[Vec<u32>]) -> Result<()> {
        self.forward(batch).map(drop)
    }

    fn last_hidden_state(&self, batch: &[Vec<u32>]) -> Result<Vec<f32>> {
        let mut rows = Vec::new();
        for outputs in self.forward(batch)? {
            let states = outputs.last_hidden_state;
            let states = states.context("the last hidden state was asked for")?;
            rows.extend(states.flatten_all()?.to_vec1::<f32>()?);
        }
        Ok(rows)
    }
}
