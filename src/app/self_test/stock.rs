//! candle's own BERT on the same weights, the other implementation that ours is compared with.

use std::collections::HashMap;

use anyhow::Context;
use candle_core::{DType, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert;

use crate::checkpoint::{Config, HiddenAct};
use crate::error::{Classify, Kind, Result};
use crate::model::Batch;
use crate::weights::Tensors;

/// The last hidden state of `batch`, which is one sequence. It runs on the CPU, wherever ours runs:
/// a fault of the GPU would affect both.
pub(super) fn last_hidden_state(
    tensors: &Tensors,
    config: &Config,
    batch: &Batch,
) -> Result<Vec<f32>> {
    let tensors = tensors.encoder(config)?.into_iter().map(|(name, view)| {
        let tensor = Tensor::from_vec(view.to_f32(), view.shape(), &candle_core::Device::Cpu);
        Ok((name, tensor.kind(Kind::Device)?))
    });
    let tensors: HashMap<_, _> = tensors.collect::<Result<_>>()?;
    let builder = VarBuilder::from_tensors(tensors, DType::F32, &candle_core::Device::Cpu);
    let forward = || -> candle_core::Result<Vec<f32>> {
        let stock = bert::BertModel::load(builder, &stock_config(config))?;
        let row = |ids: Vec<u32>| Tensor::new(ids, &candle_core::Device::Cpu)?.unsqueeze(0);
        let attended = batch.sequences.first().map_or(0, |it| it.attended);
        let mask = (0..batch.input_ids.len())
            .map(|token| u32::from(token < attended))
            .collect();
        let input_ids = row(batch.input_ids.clone())?;
        let token_type_ids = row(batch.token_type_ids.clone())?;
        let states = stock.forward(&input_ids, &token_type_ids, Some(&row(mask)?))?;
        states.flatten_all()?.to_vec1()
    };
    forward()
        .context("could not run candle_transformers' BertModel")
        .kind(Kind::Device)
}

fn stock_config(config: &Config) -> bert::Config {
    bert::Config {
        vocab_size: config.vocab_size,
        hidden_size: config.hidden_size,
        num_hidden_layers: config.num_hidden_layers,
        num_attention_heads: config.num_attention_heads,
        intermediate_size: config.intermediate_size,
        hidden_act: match config.hidden_act {
            HiddenAct::Gelu => bert::HiddenAct::Gelu,
            HiddenAct::GeluTanh => bert::HiddenAct::GeluApproximate,
            HiddenAct::Relu => bert::HiddenAct::Relu,
        },
        max_position_embeddings: config.max_position_embeddings,
        type_vocab_size: config.type_vocab_size,
        layer_norm_eps: config.layer_norm_eps,
        ..bert::Config::default()
    }
}
