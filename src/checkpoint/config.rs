//! `config.json` → [`Config`]: the sizes of one BERT, with the defaults of transformers'
//! `BertConfig` (5.23). Refuses what a plain BERT encoder would compute silently wrong: another
//! `model_type`, relative positions, decoders, custom code.

use std::path::Path;

use anyhow::{Context, anyhow, bail, ensure};
use serde_json::Value;

use super::directory::{could_not_use, read};
use super::files;
use super::json::{JsonObject, shortened};
use crate::error::{Classify, Kind, Result};

/// The object that `config.json` is.
type ConfigJson = JsonObject<Value>;

/// Most bytes of a `config.json`: 6 KB are usual, one with 30,000 class labels has 2 MB.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// The largest value of each size. 16,777,216 is far above every BERT, and a product of two such
/// sizes fits in a `usize` with room to spare.
const MAX_SIZE: usize = 1 << 24;

/// The activation between the two linear maps of a feed-forward block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HiddenAct {
    /// x · Φ(x), by the error function (Hendrycks and Gimpel 2016): BERT's own.
    Gelu,
    /// Its approximation by tanh, off by 4.7e-4 at most.
    GeluTanh,
    /// max(0, x).
    Relu,
}

/// Names of `hidden_act` in transformers' `ACT2CLS` and what each computes in f32.
///
/// `gelu_fast` writes √(2/π) with ten digits, which is the same f32. `gelu_10`, `quick_gelu` and
/// the rest are other functions.
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

/// The sizes and constants of one BERT, named as in `config.json`.
///
/// Each size is at least 1 and at most 16,777,216, but nothing confirms them until
/// [`Tensors::check`](crate::weights::Tensors::check) has compared them with the tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Rows of the word embeddings: token ids are below it.
    pub vocab_size: usize,
    /// Width of every token's vector; a multiple of `num_attention_heads`.
    pub hidden_size: usize,
    /// Layers of the encoder.
    pub num_hidden_layers: usize,
    /// Heads of each self-attention.
    pub num_attention_heads: usize,
    /// Width between the two linear maps of a feed-forward block.
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
    /// Reads `config.json` in `directory`, with `BertConfig`'s defaults for missing keys.
    ///
    /// Keys that change no number of the outputs (`dtype`, `torch_dtype`, dropouts, labels) are
    /// ignored.
    ///
    /// # Errors
    /// [`Kind::Model`](crate::error::Kind::Model): the file is missing, unreadable, over 4 MiB or
    /// not JSON; a value is of the wrong type or out of range; the model is not a plain BERT
    /// encoder.
    pub fn read(directory: &Path) -> Result<Self> {
        files::refuse_adapter(directory)?;
        let content = read(directory, files::CONFIG, MAX_BYTES)?;
        Self::parse(&content)
            .with_context(|| could_not_use(&directory.join(files::CONFIG)))
            .kind(Kind::Model)
    }

    /// Elements that each head sees: `hidden_size / num_attention_heads`.
    #[must_use]
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    fn parse(content: &[u8]) -> anyhow::Result<Self> {
        let object = ConfigJson::parse_unique(content)?;
        check_architecture(&object)?;
        let size = |key, default| object.size(key, default, 1..=MAX_SIZE);
        let vocab_size = size("vocab_size", 30522)?;
        let config = Self {
            vocab_size,
            hidden_size: size("hidden_size", 768)?,
            num_hidden_layers: size("num_hidden_layers", 12)?,
            num_attention_heads: size("num_attention_heads", 12)?,
            intermediate_size: size("intermediate_size", 3072)?,
            max_position_embeddings: size("max_position_embeddings", 512)?,
            type_vocab_size: size("type_vocab_size", 2)?,
            hidden_act: hidden_act(&object)?,
            layer_norm_eps: object.epsilon("layer_norm_eps", 1e-12)?,
            pad_token_id: pad_token_id(&object, vocab_size)?,
        };
        config.check_heads()?;
        Ok(config)
    }

    fn check_heads(&self) -> anyhow::Result<()> {
        let (hidden_size, heads) = (self.hidden_size, self.num_attention_heads);
        ensure!(
            hidden_size.is_multiple_of(heads),
            "`num_attention_heads` is {heads}, which does not divide `hidden_size` {hidden_size}"
        );
        Ok(())
    }
}

/// Refuses what a plain BERT encoder would compute silently wrong.
fn check_architecture(object: &ConfigJson) -> anyhow::Result<()> {
    match object.text("model_type")? {
        Some("bert") => {}
        Some(other) => return Err(unsupported("model_type", other, "`bert`")),
        None => check_architectures(object)?,
    }
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

/// If `model_type` is missing (transformers before 2.4 wrote none), `architectures` may still name
/// another model.
fn check_architectures(object: &ConfigJson) -> anyhow::Result<()> {
    let names = object.value("architectures").and_then(Value::as_array);
    let mut names = names.into_iter().flatten().filter_map(Value::as_str);
    match names.find(|name| !name.starts_with("Bert")) {
        Some(other) => Err(unsupported(
            "architectures",
            other,
            "models of BERT (`Bert…`)",
        )),
        None => Ok(()),
    }
}

fn hidden_act(object: &ConfigJson) -> anyhow::Result<HiddenAct> {
    let given = match object.value("hidden_act") {
        None => "gelu",
        Some(_) => object.text("hidden_act")?.unwrap_or_default(),
    };
    let known = HIDDEN_ACTS.iter().find(|(name, _)| *name == given);
    known.map(|&(_, hidden_act)| hidden_act).ok_or_else(|| {
        let names: Vec<String> = HIDDEN_ACTS.iter().map(|(n, _)| format!("`{n}`")).collect();
        unsupported("hidden_act", given, &names.join(", "))
    })
}

/// Null is allowed, as in `BertConfig`: then no row of the embeddings is special.
fn pad_token_id(object: &ConfigJson, vocab_size: usize) -> anyhow::Result<u32> {
    match object.value("pad_token_id") {
        // `vocab_size` is at most 16,777,216.
        Some(_) => Ok(object.size("pad_token_id", 0, 0..=vocab_size - 1)? as u32),
        None => Ok(0),
    }
}

fn unsupported(key: &str, given: &str, supported: &str) -> anyhow::Error {
    let given = shortened(given);
    anyhow!("`{key}` is `{given}`, supported: {supported}")
}
