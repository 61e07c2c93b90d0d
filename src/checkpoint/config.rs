//! `config.json` → [`Config`]: the sizes of one model, with the defaults of its [`ModelType`].
//! Refuses what a plain encoder would compute silently wrong: another `model_type`, relative
//! positions, decoders, custom code.

use std::path::Path;

use anyhow::{Context, anyhow, bail, ensure};
use serde_json::Value;

use super::directory::{could_not_use, read};
use super::files;
use super::json::{CheckedObject, shortened};
use super::model_type::ModelType;
use crate::error::{Classify, Kind, Result};

/// The size limit of a `config.json`: 6 KB are usual, one with 30,000 class labels has 2 MB.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// The largest value of each size. No BERT comes near 16,777,216, and the product of two such sizes
/// fits in a `usize`.
const MAX_SIZE: usize = 1 << 24;

/// The activation between the two linear layers of a feed-forward block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HiddenAct {
    /// x · Φ(x), by the error function (Hendrycks and Gimpel 2016), which BERT itself uses.
    Gelu,
    /// Its approximation by tanh, at most 4.7e-4 off.
    GeluTanh,
    /// max(0, x).
    Relu,
}

/// Names of `hidden_act` in transformers' `ACT2CLS`, each with what it computes in f32.
///
/// `gelu_fast` has √(2/π) with ten digits, which is the same f32. `gelu_10`, `quick_gelu` and the
/// rest are other functions.
const HIDDEN_ACTS: [(&str, HiddenAct); 8] = [
    ("gelu", HiddenAct::Gelu),
    ("gelu_python", HiddenAct::Gelu),
    ("gelu_new", HiddenAct::GeluTanh),
    ("gelu_pytorch_tanh", HiddenAct::GeluTanh),
    ("gelu_python_tanh", HiddenAct::GeluTanh),
    ("gelu_accurate", HiddenAct::GeluTanh),
    ("gelu_fast", HiddenAct::GeluTanh),
    ("relu", HiddenAct::Relu),
];

/// The sizes and constants of one model, named as in BERT's `config.json`.
///
/// Each size is at least 1 and at most 16,777,216, but unconfirmed until
/// [`Tensors::check`](crate::weights::Tensors::check) has compared it with the tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Which model it is.
    pub model_type: ModelType,
    /// Rows of the word embeddings: token ids are below it.
    pub vocab_size: usize,
    /// Width of every token's vector; a multiple of `num_attention_heads`.
    pub hidden_size: usize,
    /// Layers of the encoder.
    pub num_hidden_layers: usize,
    /// Heads of each self-attention.
    pub num_attention_heads: usize,
    /// Width between the two linear layers of a feed-forward block.
    pub intermediate_size: usize,
    /// Rows of the position embeddings: the most tokens of one sequence.
    pub max_position_embeddings: usize,
    /// Rows of the token type embeddings (segments A and B).
    pub type_vocab_size: usize,
    /// The feed-forward block's activation.
    pub hidden_act: HiddenAct,
    /// Added to the variance in every layer norm; above 0.
    pub layer_norm_eps: f64,
    /// The token id of `[PAD]`; below `vocab_size`. 0 if the file says null.
    pub pad_token_id: u32,
}

impl Config {
    /// Reads `config.json` in `directory`.
    ///
    /// Keys that do not change the outputs (`dtype`, `torch_dtype`, dropouts, labels) are ignored.
    ///
    /// # Errors
    /// [`Kind::Model`]: the file is missing, unreadable, over 4 MiB or not JSON; a value has the
    /// wrong type or is out of range; the model is not a plain encoder of a supported type.
    pub fn read(directory: &Path) -> Result<Self> {
        files::refuse_adapter(directory)?;
        let content = read(directory, files::CONFIG, MAX_BYTES)?;
        Self::parse(&content)
            .with_context(|| could_not_use(&directory.join(files::CONFIG)))
            .kind(Kind::Model)
    }

    /// The width of one head: `hidden_size / num_attention_heads`.
    #[must_use]
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    fn parse(content: &[u8]) -> anyhow::Result<Self> {
        let object = CheckedObject::parse(content)?;
        let model_type = model_type(&object)?;
        check_encoder(&object)?;
        let keys = model_type.keys();
        let size = |(key, default)| object.size(key, default, 1..=MAX_SIZE);
        let (epsilon_key, epsilon) = keys.layer_norm_eps;
        let vocab_size = size(keys.vocab_size)?;
        let config = Self {
            model_type,
            vocab_size,
            hidden_size: size(keys.hidden_size)?,
            num_hidden_layers: size(keys.num_hidden_layers)?,
            num_attention_heads: size(keys.num_attention_heads)?,
            intermediate_size: size(keys.intermediate_size)?,
            max_position_embeddings: size(keys.max_position_embeddings)?,
            type_vocab_size: size(keys.type_vocab_size)?,
            hidden_act: hidden_act(&object, keys.hidden_act)?,
            layer_norm_eps: object.epsilon(epsilon_key, epsilon)?,
            pad_token_id: pad_token_id(&object, keys.pad_token_id, vocab_size)?,
        };
        config.check_heads()?;
        Ok(config)
    }

    fn check_heads(&self) -> anyhow::Result<()> {
        let (hidden_size, heads) = (self.hidden_size, self.num_attention_heads);
        let keys = self.model_type.keys();
        ensure!(
            hidden_size.is_multiple_of(heads),
            "`{}` is {heads}, which does not divide `{}` {hidden_size}",
            keys.num_attention_heads.0,
            keys.hidden_size.0
        );
        Ok(())
    }
}

/// If `model_type` is missing (transformers before 2.4 wrote none), the model is a BERT unless
/// `architectures` names another.
fn model_type(object: &CheckedObject) -> anyhow::Result<ModelType> {
    let Some(name) = object.text("model_type")? else {
        let default = ModelType::Bert;
        let names = object.value("architectures").and_then(Value::as_array);
        let mut names = names.into_iter().flatten().filter_map(Value::as_str);
        return match names.find(|name| !name.starts_with(default.class_prefix())) {
            Some(other) => Err(unsupported(
                "architectures",
                other,
                "models of BERT (`Bert…`)",
            )),
            None => Ok(default),
        };
    };
    let mut known = ModelType::ALL.into_iter();
    known.find(|known| known.name() == name).ok_or_else(|| {
        let names = ModelType::ALL.map(|known| format!("`{}`", known.name()));
        unsupported("model_type", name, &names.join(", "))
    })
}

/// Refuses what a plain encoder would compute silently wrong.
fn check_encoder(object: &CheckedObject) -> anyhow::Result<()> {
    if let Some(other) = object.text("position_embedding_type")?
        && other != "absolute"
    {
        return Err(unsupported("position_embedding_type", other, "`absolute`"));
    }
    for key in ["is_decoder", "add_cross_attention"] {
        ensure!(
            !object.flag(key)?,
            "`{key}` is true, supported are encoders only"
        );
    }
    ensure!(
        object.value("quantization_config").is_none(),
        "`quantization_config` is set: the weights are quantized, supported are only f64, f32, f16 \
         and bf16"
    );
    match object.value("auto_map") {
        Some(map) if map.as_object().is_none_or(|map| !map.is_empty()) => {
            bail!("`auto_map` names Python code, supported is transformers' own BERT only")
        }
        _ => Ok(()),
    }
}

fn hidden_act(object: &CheckedObject, (key, default): (&str, &str)) -> anyhow::Result<HiddenAct> {
    let given = object.text(key)?.unwrap_or(default);
    let known = HIDDEN_ACTS.iter().find(|(name, _)| *name == given);
    known.map(|&(_, hidden_act)| hidden_act).ok_or_else(|| {
        let names = HIDDEN_ACTS.map(|(name, _)| format!("`{name}`"));
        unsupported(key, given, &names.join(", "))
    })
}

/// Null is allowed, as in `BertConfig`: then no row of the embeddings is special.
fn pad_token_id(
    object: &CheckedObject,
    (key, default): (&str, usize),
    vocab_size: usize,
) -> anyhow::Result<u32> {
    if object.has(key) && object.value(key).is_none() {
        return Ok(0);
    }
    // `vocab_size` is at most 16,777,216.
    Ok(object.size(key, default, 0..=vocab_size - 1)? as u32)
}

fn unsupported(key: &str, given: &str, supported: &str) -> anyhow::Error {
    let given = shortened(given);
    anyhow!("`{key}` is `{given}`, supported: {supported}")
}
