//! candle's stock BERT (`candle_transformers::models::bert`), loaded as its example does.

use std::path::Path;

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};

use crate::Engine;

/// The stock encoder; it has no pooler, so it does a little less.
pub(crate) struct Stock {
    model: BertModel,
}

impl Stock {
    pub(crate) fn load(directory: &str) -> Result<Self> {
        let directory = Path::new(directory);
        let config: Config =
            serde_json::from_slice(&std::fs::read(directory.join("config.json"))?)?;
        let weights = directory.join("model.safetensors");
        // SAFETY: the benchmark's own checkpoint; nothing writes to it while it is mapped.
        let builder =
            unsafe { VarBuilder::from_mmaped_safetensors(&[weights], DType::F32, &Device::Cpu)? };
        let model = BertModel::load(builder, &config)?;
        Ok(Self { model })
    }

    /// The batch padded to its longest sequence → `[batch, seq, hidden]`.
    fn forward(&self, batch: &[Vec<u32>]) -> Result<Tensor> {
        let seq = batch.iter().map(Vec::len).max().unwrap_or_default();
        let padded = |row: &dyn Fn(&[u32], usize) -> u32| {
            let values: Vec<u32> = batch
                .iter()
                .flat_map(|ids| (0..seq).map(|token| row(ids, token)))
                .collect();
            Tensor::from_vec(values, (batch.len(), seq), &Device::Cpu)
        };
        let input_ids = padded(&|ids, token| ids.get(token).copied().unwrap_or_default())?;
        let attention_mask = padded(&|ids, token| u32::from(token < ids.len()))?;
        let token_type_ids = input_ids.zeros_like()?;
        Ok(self
            .model
            .forward(&input_ids, &token_type_ids, Some(&attention_mask))?)
    }
}

impl Engine for Stock {
    fn run(&self, batch: &[Vec<u32>]) -> Result<()> {
        self.forward(batch).map(drop)
    }

    fn last_hidden_state(&self, batch: &[Vec<u32>]) -> Result<Vec<f32>> {
        let states = self.forward(batch)?;
        let real = batch.iter().enumerate().map(|(index, ids)| {
            let rows = states.get(index)?.narrow(0, 0, ids.len())?;
            Ok(rows.flatten_all()?.to_vec1::<f32>()?)
        });
        Ok(real.collect::<Result<Vec<_>>>()?.concat())
    }
}
