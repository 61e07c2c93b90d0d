//! Reads and checks the keys of `config.json`. Refuses what a plain encoder would compute silently
//! wrong: another `model_type`, relative positions, decoders, custom code.

use anyhow::{Context, anyhow, bail, ensure};
use serde_json::Value;

use super::{Config, HiddenAct, LayerGroups};
use crate::checkpoint::json::{CheckedObject, shortened};
use crate::checkpoint::model_facts::{ConfigKeys, EmbeddingsProjection, PaddingIdx, SizeKey};
use crate::checkpoint::model_type::ModelType;

/// The largest value of each size. No BERT comes near 16,777,216, and the product of two such sizes
/// fits in a `usize`.
const MAX_SIZE: usize = 1 << 24;

/// The most layers that may share weights, whose number nothing in the weights confirms; ALBERT has
/// 12 or 24.
const MAX_SHARED_LAYERS: usize = 1024;

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

impl Config {
    pub(super) fn parse(content: &[u8]) -> anyhow::Result<Self> {
        let object = CheckedObject::parse(content)?;
        let model_type = model_type(&object)?;
        check_encoder(&object)?;
        let facts = model_type.facts();
        let keys = &facts.keys;
        let sizes = Sizes {
            object: &object,
            aliases: keys.aliases,
        };
        let vocab_size = sizes.get(keys.vocab_size)?;
        let hidden_size = sizes.get(keys.hidden_size)?;
        let embedding_size = sizes.optional(keys.embedding_size)?.unwrap_or(hidden_size);
        let pad_token_id = pad_token_id(&object, keys.pad_token_id, vocab_size)?;
        let uses_task_types = keys.task_type_vocab_size.is_some() && object.flag("use_task_id")?;
        let config = Self {
            model_type,
            vocab_size,
            embedding_size,
            projects_embeddings: match facts.projection {
                EmbeddingsProjection::Never => false,
                EmbeddingsProjection::IfSizesDiffer => embedding_size != hidden_size,
                EmbeddingsProjection::Always => true,
            },
            hidden_size,
            num_hidden_layers: sizes.get(keys.num_hidden_layers)?,
            layer_groups: sizes.layer_groups(keys)?,
            num_attention_heads: sizes.get(keys.num_attention_heads)?,
            intermediate_size: sizes.get(keys.intermediate_size)?,
            max_position_embeddings: sizes.get(keys.max_position_embeddings)?,
            padding_idx: padding_idx(&facts.padding_idx, pad_token_id, keys)?,
            type_vocab_size: sizes.optional(keys.type_vocab_size)?,
            task_type_vocab_size: sizes
                .optional(keys.task_type_vocab_size.filter(|_| uses_task_types))?,
            relative_attention_num_buckets: buckets(&object, keys)?,
            hidden_act: hidden_act(&object, keys.hidden_act)?,
            layer_norm_eps: match keys.layer_norm_eps {
                (None, fixed) => fixed,
                (Some(key), default) => object.epsilon(key, default)?,
            },
            pad_token_id: pad_token_id.unwrap_or_default(),
        };
        config.check_heads()?;
        ensure!(
            config.layer_groups.is_none() || config.layers() <= MAX_SHARED_LAYERS,
            "it has {} layers that share weights, allowed are {MAX_SHARED_LAYERS}",
            config.layers()
        );
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
        let names = object.value("architectures").and_then(Value::as_array);
        let mut names = names.into_iter().flatten().filter_map(Value::as_str);
        return match names.find(|name| !name.starts_with("Bert")) {
            Some(other) => Err(unsupported(
                "architectures",
                other,
                "models of BERT (`Bert…`)",
            )),
            None => Ok(ModelType::Bert),
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
            bail!("`auto_map` names Python code, supported is transformers' own code only")
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

/// The sizes of an object, under any of their names.
struct Sizes<'a> {
    object: &'a CheckedObject,
    aliases: &'static [(&'static str, &'static str)],
}

impl Sizes<'_> {
    fn get(&self, (key, default): SizeKey) -> anyhow::Result<usize> {
        let mut aliases = self.aliases.iter().filter(|(_, name)| *name == key);
        if let Some((alias, _)) = aliases.find(|(alias, _)| self.object.has(alias)) {
            let differs =
                self.object.has(key) && self.object.value(key) != self.object.value(alias);
            ensure!(
                !differs,
                "`{alias}` and `{key}` are names of one size, but differ"
            );
            return self.object.size(alias, default, 1..=MAX_SIZE);
        }
        self.object.size(key, default, 1..=MAX_SIZE)
    }

    fn optional(&self, key: Option<SizeKey>) -> anyhow::Result<Option<usize>> {
        key.map(|key| self.get(key)).transpose()
    }

    fn layer_groups(&self, keys: &ConfigKeys) -> anyhow::Result<Option<LayerGroups>> {
        let Some(keys) = &keys.layer_groups else {
            return Ok(None);
        };
        Ok(Some(LayerGroups {
            num_hidden_groups: self.get(keys.num_hidden_groups)?,
            inner_group_num: self.get(keys.inner_group_num)?,
        }))
    }
}

/// At least as many as the distances fall into: transformers fixes these at 32.
fn buckets(object: &CheckedObject, keys: &ConfigKeys) -> anyhow::Result<Option<usize>> {
    let key = keys.relative_attention_num_buckets;
    key.map(|(key, default)| object.size(key, default, default..=MAX_SIZE))
        .transpose()
}

/// Null is allowed, as in `BertConfig`: then no row of the embeddings is special.
fn pad_token_id(
    object: &CheckedObject,
    (key, default): SizeKey,
    vocab_size: usize,
) -> anyhow::Result<Option<u32>> {
    if object.has(key) && object.value(key).is_none() {
        return Ok(None);
    }
    // `vocab_size` is at most 16,777,216.
    Ok(Some(object.size(key, default, 0..=vocab_size - 1)? as u32))
}

fn padding_idx(
    padding_idx: &PaddingIdx,
    pad_token_id: Option<u32>,
    keys: &ConfigKeys,
) -> anyhow::Result<Option<u32>> {
    match padding_idx {
        PaddingIdx::None => Ok(None),
        PaddingIdx::Fixed(id) => Ok(Some(*id)),
        PaddingIdx::PadTokenId => {
            let why = || format!("`{}` is null: positions count from it", keys.pad_token_id.0);
            Ok(Some(pad_token_id.with_context(why)?))
        }
    }
}

fn unsupported(key: &str, given: &str, supported: &str) -> anyhow::Error {
    let given = shortened(given);
    anyhow!("`{key}` is `{given}`, supported: {supported}")
}
