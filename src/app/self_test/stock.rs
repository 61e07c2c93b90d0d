//! The other implementation that ours is compared with: candle's own model on the same weights, or,
//! for a type that candle lacks, our model on the other of the two sets of operations.

use std::collections::HashMap;

use anyhow::Context;
use candle_core::{DType, Tensor};
use candle_nn::{Activation, VarBuilder};
use candle_transformers::models::{bert, xlm_roberta};

use crate::checkpoint::{Config, HiddenAct, ModelType};
use crate::error::{Classify, Kind, Result};
use crate::model::{Batch, BertModel, Output};
use crate::ops::Precision;
use crate::ops::device::Device;
use crate::weights::Tensors;

/// What the model is compared with, and its last hidden state of `batch`, which is one sequence.
///
/// candle's models run on the CPU, wherever ours runs on `device`: a fault of the GPU would affect
/// both.
pub(super) fn last_hidden_state(
    tensors: &Tensors,
    config: &Config,
    batch: &Batch,
    device: &Device,
) -> Result<(&'static str, Vec<f32>)> {
    match config.model_type {
        ModelType::Bert => {
            let states = run_stock(tensors, config, |builder| bert(builder, config, batch))?;
            Ok(("candle_transformers' BertModel", states))
        }
        ModelType::XlmRoberta
        | ModelType::Camembert
        | ModelType::Roberta
        | ModelType::Data2VecText => {
            let states = run_stock(tensors, config, |builder| roberta(builder, config, batch))?;
            Ok(("candle_transformers' XLMRobertaModel", states))
        }
        ModelType::Albert
        | ModelType::DistilBert
        | ModelType::Electra
        | ModelType::Ernie
        | ModelType::MpNet => {
            let (name, device) = match device {
                Device::Cpu => (
                    "candle's operations",
                    Device::Candle(candle_core::Device::Cpu),
                ),
                Device::Candle(_) => ("the CPU's operations", Device::Cpu),
            };
            let model = BertModel::load(tensors, config, &device, Precision::F32)?;
            let outputs = model.forward(batch, &[Output::LastHiddenState])?;
            let states = outputs.into(Output::LastHiddenState);
            let states = states
                .map(crate::ops::OutputTensor::into_host)
                .transpose()?;
            Ok((name, states.unwrap_or_default()))
        }
    }
}

fn run_stock(
    tensors: &Tensors,
    config: &Config,
    forward: impl FnOnce(VarBuilder) -> candle_core::Result<Tensor>,
) -> Result<Vec<f32>> {
    let tensors = tensors.encoder(config)?.into_iter().map(|(name, view)| {
        let tensor = Tensor::from_vec(view.to_f32(), view.shape(), &candle_core::Device::Cpu);
        Ok((name, tensor.kind(Kind::Device)?))
    });
    let tensors: HashMap<_, _> = tensors.collect::<Result<_>>()?;
    let builder = VarBuilder::from_tensors(tensors, DType::F32, &candle_core::Device::Cpu);
    forward(builder)
        .and_then(|states| states.flatten_all()?.to_vec1())
        .context("could not run candle_transformers' model")
        .kind(Kind::Device)
}

fn bert(builder: VarBuilder, config: &Config, batch: &Batch) -> candle_core::Result<Tensor> {
    let config = bert::Config {
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
        type_vocab_size: config.type_vocab_size.unwrap_or_default(),
        layer_norm_eps: config.layer_norm_eps,
        ..bert::Config::default()
    };
    let model = bert::BertModel::load(builder, &config)?;
    let [input_ids, token_type_ids, mask] = rows(batch)?;
    model.forward(&input_ids, &token_type_ids, Some(&mask))
}

fn roberta(builder: VarBuilder, config: &Config, batch: &Batch) -> candle_core::Result<Tensor> {
    let config = xlm_roberta::Config {
        hidden_size: config.hidden_size,
        layer_norm_eps: config.layer_norm_eps,
        attention_probs_dropout_prob: 0.0,
        hidden_dropout_prob: 0.0,
        num_attention_heads: config.num_attention_heads,
        position_embedding_type: "absolute".to_owned(),
        intermediate_size: config.intermediate_size,
        hidden_act: match config.hidden_act {
            HiddenAct::Gelu => Activation::Gelu,
            HiddenAct::GeluTanh => Activation::NewGelu,
            HiddenAct::Relu => Activation::Relu,
        },
        num_hidden_layers: config.num_hidden_layers,
        vocab_size: config.vocab_size,
        max_position_embeddings: config.max_position_embeddings,
        type_vocab_size: config.type_vocab_size.unwrap_or_default(),
        pad_token_id: config.pad_token_id,
    };
    let model = xlm_roberta::XLMRobertaModel::new(&config, builder)?;
    let [input_ids, token_type_ids, mask] = rows(batch)?;
    model.forward(&input_ids, &mask, &token_type_ids, None, None, None)
}

/// Ids, token types and attention mask, `[1, tokens]` each.
fn rows(batch: &Batch) -> candle_core::Result<[Tensor; 3]> {
    let row = |ids: &[u32]| Tensor::new(ids, &candle_core::Device::Cpu)?.unsqueeze(0);
    let attended = batch.sequences.first().map_or(0, |it| it.attended);
    let tokens = 0..batch.input_ids.len();
    let mask: Vec<_> = tokens.map(|token| u32::from(token < attended)).collect();
    Ok([
        row(&batch.input_ids)?,
        row(&batch.token_type_ids)?,
        row(&mask)?,
    ])
}
