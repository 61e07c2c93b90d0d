//! What a run computes: the options that the command and the library share. The doc comments are
//! the help.

#![allow(
    clippy::doc_markdown,
    reason = "the doc comments are the help, where backticks show"
)]

mod check;
mod layers;

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::error::Result;
use crate::ops::Precision;
use crate::ops::device::{self, Device, DeviceChoice};
use crate::output::{Fields, OutputFormat};
use crate::record::{Field, Selection};
use crate::tokenize::{OnLong, Padding};
use crate::vectors::{LayerMerge, Pooling, PoolingMode};
pub use layers::LayerRange;

/// The fewest tokens of a record: `[CLS]`, one token of the text, `[SEP]`.
const LEAST_TOKENS: u32 = 3;

/// What a model computes and where, with the names and the defaults of the command.
///
/// Serialized, these are the options that change the records: `--resume` compares them, and file
/// formats keep them as metadata.
// A new option is compared unless it says `serde(skip)`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Serialize)]
pub struct Options {
    /// Branch, tag or commit of the model on the hub [default: main]
    #[arg(long, value_name = "REV", help_heading = "Model")]
    #[serde(skip)]
    pub revision: Option<String>,

    /// Cache directory of the hub [default: $HF_HUB_CACHE, $HF_HOME/hub or
    /// ~/.cache/huggingface/hub]
    #[arg(long, value_name = "DIR", help_heading = "Model")]
    #[serde(skip)]
    pub cache_dir: Option<PathBuf>,

    /// Use only the cache, never the network (like HF_HUB_OFFLINE=1)
    #[arg(long, help_heading = "Model")]
    #[serde(skip)]
    pub offline: bool,

    /// Maximum number of tokens in a record [default: as the model says]
    ///
    /// `[CLS]` and `[SEP]` count too. The default is the tokenizer's model_max_length, but at most
    /// the model's max_position_embeddings.
    #[arg(long, value_name = "N", help_heading = "Tokens", value_parser = max_length)]
    pub max_length: Option<u32>,

    /// What to do with a text that has more tokens
    #[arg(
        long,
        value_name = "HOW",
        default_value_t,
        value_enum,
        help_heading = "Tokens"
    )]
    pub on_long: OnLong,

    /// Tokens that neighbouring windows share [default: a quarter of --max-length]
    #[arg(long, value_name = "N", help_heading = "Tokens")]
    pub stride: Option<u32>,

    /// Pad records with `[PAD]` tokens
    #[arg(
        long,
        value_name = "WHEN",
        default_value_t,
        value_enum,
        help_heading = "Tokens"
    )]
    pub padding: Padding,

    /// Put a prompt before each text
    ///
    /// Either the NAME of a prompt in the model's config_sentence_transformers.json, or any TEXT
    /// with a space or a colon in it. With --pooling model, the default is the model's own default
    /// prompt, if it has one.
    #[arg(long, value_name = "NAME|TEXT", help_heading = "Tokens")]
    pub prompt: Option<String>,

    /// Fields of a record, comma-separated
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        help_heading = "Output"
    )]
    pub fields: Vec<Field>,

    /// Layers for hidden_states and attentions, or to pool, comma-separated
    ///
    /// 0 is the embedding output, which has no attentions; 1..L are the layers; negative numbers
    /// count from the end. 1-4 and -4--1 are ranges, all is every layer with 0. --pooling and
    /// --word-pooling pool the chosen layer; --layer-merge makes one of several.
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        allow_hyphen_values = true,
        help_heading = "Output"
    )]
    pub layers: Vec<LayerRange>,

    /// How to merge the layers into one
    #[arg(
        long,
        value_name = "HOW",
        default_value_t,
        value_enum,
        help_heading = "Output"
    )]
    pub layer_merge: LayerMerge,

    /// Fill `embedding`, one vector per text
    ///
    /// It is pooled from the real tokens of last_hidden_state or of the layers in --layers, or is
    /// the output of the pooler.
    #[arg(long, value_name = "HOW", help_heading = "Output")]
    pub pooling: Option<Pooling>,

    /// Keep the first N values of `embedding`
    ///
    /// The rest is cut off before --normalize. With --pooling model, the default is the model's own
    /// truncate_dim, if it has one.
    #[arg(
        long,
        value_name = "N",
        help_heading = "Output",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub truncate_dim: Option<u32>,

    /// Scale `embedding` to length 1
    #[arg(long, help_heading = "Output")]
    pub normalize: bool,

    /// Fill `words`, one vector per word
    ///
    /// It is pooled from the word's tokens in last_hidden_state or in the layers of --layers.
    #[arg(long, value_name = "HOW", help_heading = "Output")]
    pub word_pooling: Option<PoolingMode>,

    /// Where the encoder runs: auto, cpu, cuda or cuda:N
    ///
    /// auto is a GPU if this build supports CUDA and a GPU responds, otherwise the CPU. int16 and
    /// int8 run on the CPU only.
    #[arg(
        long,
        value_name = "DEVICE",
        default_value = "auto",
        env = "BERT_EMBED_DEVICE",
        hide_env_values = true,
        help_heading = "Execution"
    )]
    #[serde(skip)]
    pub device: DeviceChoice,

    /// Number type that the encoder computes in
    ///
    /// f16 and bf16 round the weights. A GPU then computes in that type. The CPU still computes in
    /// f32: it reads weights that are stored in that type without a copy, but is seldom faster.
    /// int16 and int8 are faster, on the CPU only: linear layers compute in integers, everything
    /// else in f32.
    #[arg(
        long,
        value_name = "DTYPE",
        default_value_t,
        value_enum,
        help_heading = "Execution"
    )]
    pub dtype: Precision,

    /// Number of threads [default: the processors available to this process]
    #[arg(
        long,
        value_name = "N",
        env = "BERT_EMBED_THREADS",
        hide_env_values = true,
        help_heading = "Execution",
        value_parser = clap::value_parser!(u16).range(1..=1024)
    )]
    #[serde(skip)]
    pub threads: Option<u16>,

    /// Tokens that the encoder processes at once [default: 512, on a GPU 16384]
    ///
    /// More is faster, up to a point, and needs more memory.
    #[arg(
        long,
        value_name = "N",
        help_heading = "Execution",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    #[serde(skip)]
    pub batch_tokens: Option<u32>,
}

impl Options {
    /// Opens the device; `auto` is the CPU for types that only the CPU computes in.
    ///
    /// # Errors
    /// [`Kind::Device`](crate::error::Kind::Device) if the device does not respond.
    pub(crate) fn open_device(&self) -> Result<Device> {
        device::open(match self.device {
            DeviceChoice::Auto if self.dtype.is_integer() => DeviceChoice::Cpu,
            choice => choice,
        })
    }

    /// The fields of a record, in order: the fields in `--fields`, or the default ones of `format`,
    /// and the fields that other options fill. `keeps_columns` is whether columns of the input are
    /// carried over.
    #[must_use]
    pub(crate) fn record_fields(&self, format: OutputFormat, keeps_columns: bool) -> Vec<Field> {
        let selected = |when| {
            let fields = Field::ALL.iter().copied();
            fields.filter(move |field| field.spec().selection == when && format.holds(*field))
        };
        let mut fields = self.fields.clone();
        if fields.is_empty() {
            match format.spec().fields {
                Fields::Any | Fields::NumericAndId => fields.extend(selected(Selection::ByDefault)),
                // So that a run notices that the input has ids.
                Fields::OneVector => fields.push(Field::Id),
            }
        }
        if keeps_columns {
            fields.push(Field::Columns);
        }
        // Layers that are pooled have another use already.
        let needs_field =
            !self.pools() || (self.fields.is_empty() && format.holds(Field::HiddenStates));
        if !self.layers.is_empty() && !fields.contains(&Field::Attentions) && needs_field {
            fields.push(Field::HiddenStates);
        }
        if self.pooling.is_some() {
            fields.push(Field::Embedding);
        }
        if self.word_pooling.is_some() {
            fields.push(Field::Words);
        }
        for field in fields.clone() {
            fields.extend(selected(Selection::With(field)));
        }
        fields.extend(selected(Selection::Always));
        fields.sort_unstable();
        fields.dedup();
        fields
    }

    /// Whether rows are pooled.
    pub(crate) fn pools(&self) -> bool {
        self.pooling.is_some() || self.word_pooling.is_some()
    }
}

/// The tokens of `--max-length`; the model's own limit is checked when it is known.
fn max_length(typed: &str) -> std::result::Result<u32, String> {
    match typed.parse() {
        Ok(tokens @ LEAST_TOKENS..) => Ok(tokens),
        _ => Err(
            "allowed are 3 (`[CLS]`, one token of the text, `[SEP]`) to the model's \
             max_position_embeddings"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        options: Options,
    }

    fn parse(typed: &[&str]) -> Options {
        // The environment may set a device and threads.
        let all = ["", "--device", "auto", "--threads", "1"]
            .iter()
            .chain(typed);
        Options {
            threads: None,
            ..Command::parse_from(all).options
        }
    }

    #[test]
    fn the_defaults_of_the_command_are_those_of_the_library() {
        assert_eq!(parse(&[]), Options::default());
    }

    #[test]
    fn options_that_fill_a_field_add_it() {
        let options = parse(&[
            "--layers",
            "-1, 0",
            "--layer-merge",
            "sum",
            "--pooling",
            "mean",
        ]);
        let fields = options.record_fields(OutputFormat::Jsonl, false);
        assert!(fields.contains(&Field::HiddenStates) && fields.contains(&Field::Embedding));
        assert_eq!(options.layers, [-1, 0].map(LayerRange::from));
    }

    #[test]
    fn layers_that_are_pooled_need_no_field() {
        let pooled = ["--layers", "-2", "--pooling", "mean", "--fields", "index"];
        let fields = parse(&pooled).record_fields(OutputFormat::Jsonl, false);
        assert!(!fields.contains(&Field::HiddenStates));
        let fields = parse(&pooled[..4]).record_fields(OutputFormat::Npy, false);
        assert!(!fields.contains(&Field::HiddenStates));
        let alone = ["--layers", "-2", "--fields", "index"];
        let fields = parse(&alone).record_fields(OutputFormat::Jsonl, false);
        assert!(fields.contains(&Field::HiddenStates));
    }
}
