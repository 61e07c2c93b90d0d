//! This crate's encoder, as `run.rs` loads it.

use std::path::Path;

use anyhow::{Context, Result};
use bert_embed::checkpoint::{Config, Tensors};
use bert_embed::model::{Batch, BertModel, Outputs, Wanted};
use candle_core::Device;

use crate::Engine;

/// The encoder on the checkpoint's mapped bytes.
pub(crate) struct Ours {
    model: BertModel,
}

impl Ours {
    pub(crate) fn load(directory: &str) -> Result<Self> {
        let directory = Path::new(directory);
        let config = Config::read(directory)?;
        let tensors = Tensors::open(directory)?;
        tensors.check(&config)?;
        let model = BertModel::load(&tensors, &config, &Device::Cpu)?;
        Ok(Self { model })
    }

    fn forward(&self, sequences: &[Vec<u32>]) -> Result<Outputs> {
        let mut batch = Batch::default();
        for input_ids in sequences {
            batch.push(input_ids, &vec![0; input_ids.len()], input_ids.len());
        }
        Ok(self.model.forward(&batch, &Wanted::last_and_pooler())?)
    }
}

impl Engine for Ours {
    fn run(&self, batch: &[Vec<u32>]) -> Result<()> {
        self.forward(batch).map(drop)
    }

    fn last_hidden_state(&self, batch: &[Vec<u32>]) -> Result<Vec<f32>> {
        let states = self.forward(batch)?.last_hidden_state;
        let states = states.context("the last hidden state was asked for")?;
        Ok(states.flatten_all()?.to_vec1()?)
    }
}
