//! The arguments' meaning for one model: which layers, how many tokens, what is computed.
//!
//! Owns the checks that need the model's configuration; they happen before any weight is read.

use clap::ValueEnum;

use crate::checkpoint::{self, Config};
use crate::cli::Arguments;
use crate::error::{Error, Kind, Result};
use crate::model::Wanted;
use crate::ops::Precision;
use crate::output::OutputFormat;
use crate::record::Field;
use crate::record::Shapes;
use crate::tokenize::{Detail, SPECIAL_TOKENS};
use crate::tokenize::{OnLong, Padding};
use crate::vectors::{LayerMerge, Pooling, WordPooling};

/// What one run computes and prints.
#[derive(Debug, Clone)]
pub struct Request {
    /// Fields of a record, in order.
    pub fields: Vec<Field>,
    /// What the encoder computes.
    pub wanted: Wanted,
    /// How the hidden states become one.
    pub layer_merge: LayerMerge,
    /// How `embedding` is made.
    pub pooling: Option<Pooling>,
    /// Whether `embedding` is scaled to length 1.
    pub normalize: bool,
    /// How the vectors of `words` are made.
    pub word_pooling: Option<WordPooling>,
    /// Longest record in tokens, or longest window.
    pub max_length: usize,
    /// What happens to a text that is longer.
    pub on_long: OnLong,
    /// Tokens that neighbouring windows share.
    pub stride: usize,
    /// How far records are filled up.
    pub padding: Padding,
    /// Tokens of a batch at most.
    pub batch_tokens: usize,
    /// What is asked of the tokenizer.
    pub detail: Detail,
    /// Width of a row.
    pub hidden_size: usize,
    /// Form of the output.
    pub format: OutputFormat,
    /// What the weights are rounded to.
    pub dtype: Precision,
}

impl Request {
    /// What `arguments` mean for a model of `config`, on a device that takes `batch_tokens` at once
    /// where they do not say.
    ///
    /// # Errors
    /// [`Kind::Usage`] where the model has no such layer or not so many positions.
    pub fn new(arguments: &Arguments, config: &Config, batch_tokens: usize) -> Result<Self> {
        let format = arguments.output_format();
        let fields = arguments.record_fields();
        let has = |field| fields.contains(&field);
        let pooling = arguments.pooling;
        let wanted = Wanted {
            last_hidden_state: has(Field::LastHiddenState)
                || pooling.is_some_and(|pooling| pooling != Pooling::Pooler)
                || arguments.word_pooling.is_some(),
            pooler_output: has(Field::PoolerOutput) || pooling == Some(Pooling::Pooler),
            hidden_states: layers(&arguments.layers, has(Field::HiddenStates), config)?,
        };
        // A tensor [batch, seq] needs rows of one length.
        let padding = match (format, arguments.padding) {
            (OutputFormat::Json, Padding::None) => Padding::Longest,
            (_, padding) => padding,
        };
        let max_length = max_length(arguments.max_length, config)?;
        Ok(Self {
            wanted,
            layer_merge: arguments.layer_merge,
            pooling,
            normalize: arguments.normalize,
            word_pooling: arguments.word_pooling,
            stride: stride(arguments, max_length)?,
            max_length,
            on_long: arguments.on_long,
            padding,
            batch_tokens: arguments
                .batch_tokens
                .map_or(batch_tokens, |tokens| tokens as usize),
            detail: Detail {
                offsets: [Field::OffsetMapping, Field::WordIds, Field::Words]
                    .into_iter()
                    .any(has),
            },
            hidden_size: config.hidden_size,
            format,
            dtype: arguments.dtype,
            fields,
        })
    }

    /// Checks what is asked of a checkpoint without a pooler; `pooler_output` is left out where it
    /// cannot be null.
    ///
    /// # Errors
    /// [`Kind::Model`] where all that is asked for would be the pooler's.
    pub fn check_pooler(&mut self, has_pooler: bool) -> Result<()> {
        if has_pooler {
            return Ok(());
        }
        let refuse = |what: &str, tip: &str| {
            let error = Error::message(Kind::Model, "the checkpoint has no pooler");
            Err(error.context(what).with_tip(tip))
        };
        if self.pooling == Some(Pooling::Pooler) {
            return refuse(
                "could not pool with `pooler`",
                "use --pooling cls or --pooling mean",
            );
        }
        if self.fields == [Field::PoolerOutput] && self.format == OutputFormat::Npy {
            return refuse(
                "could not write `pooler_output` as npy",
                "use --fields embedding --pooling mean",
            );
        }
        if self.format == OutputFormat::Safetensors {
            self.fields.retain(|&field| field != Field::PoolerOutput);
        }
        Ok(())
    }

    /// What the shapes of the fields depend on.
    #[must_use]
    pub fn shapes(&self) -> Shapes {
        let layers = self.wanted.hidden_states.len();
        Shapes {
            hidden: self.hidden_size,
            layers,
            merged_width: match self.layer_merge {
                LayerMerge::None => None,
                LayerMerge::Concat => Some(layers * self.hidden_size),
                LayerMerge::Mean | LayerMerge::Sum => Some(self.hidden_size),
            },
        }
    }

    /// The options that the numbers depend on, by name and as they are typed.
    #[must_use]
    pub fn options(&self) -> Vec<(&'static str, String)> {
        let mut options = vec![
            ("dtype", typed(&self.dtype)),
            ("max_length", self.max_length.to_string()),
            ("on_long", typed(&self.on_long)),
            ("padding", typed(&self.padding)),
        ];
        if self.on_long == OnLong::Window {
            options.push(("stride", self.stride.to_string()));
        }
        if let Some(pooling) = self.pooling {
            options.push(("pooling", typed(&pooling)));
            options.push(("normalize", self.normalize.to_string()));
        }
        if !self.wanted.hidden_states.is_empty() {
            let layers = self.wanted.hidden_states.iter().map(usize::to_string);
            options.push(("layers", layers.collect::<Vec<_>>().join(",")));
            options.push(("layer_merge", typed(&self.layer_merge)));
        }
        options
    }
}

/// A value as it is typed on the command line.
pub(crate) fn typed(value: &impl ValueEnum) -> String {
    let name = value.to_possible_value();
    name.map_or_else(String::new, |name| name.get_name().to_owned())
}

/// The numbers of the hidden states in `--layers`, all of them where none is named.
fn layers(typed: &[i64], wanted: bool, config: &Config) -> Result<Vec<usize>> {
    let count = config.num_hidden_layers + 1;
    if typed.is_empty() && wanted {
        return Ok((0..count).collect());
    }
    let number = |&layer: &i64| {
        let distance = usize::try_from(layer.unsigned_abs()).ok();
        let number = distance.and_then(|distance| {
            if layer < 0 {
                count.checked_sub(distance)
            } else {
                Some(distance)
            }
        });
        number.filter(|&number| number < count).ok_or_else(|| {
            let last = config.num_hidden_layers;
            Error::message(Kind::Usage, format!(
                "the model has no layer {layer}: it has {last} layers, so 0 to {last} or -1 to -{count} are allowed"
            ))
        })
    };
    typed.iter().map(number).collect()
}

/// # Errors
/// [`Kind::Usage`] where the model has not so many positions, [`Kind::Model`] where it has hardly any.
fn max_length(typed: Option<u32>, config: &Config) -> Result<usize> {
    let positions = config.max_position_embeddings;
    if positions <= SPECIAL_TOKENS {
        let cause = format!(
            "the model has {positions} positions: no text fits between `[CLS]` and `[SEP]`"
        );
        return Err(Error::message(Kind::Model, cause).context("could not use the model"));
    }
    match typed.map(|tokens| tokens as usize) {
        None => Ok(positions),
        Some(tokens) if tokens <= positions => Ok(tokens),
        Some(tokens) => Err(Error::message(
            Kind::Usage,
            format!("--max-length is {tokens}: the model has {positions} positions"),
        )),
    }
}

/// The tokens that neighbouring windows share, a quarter of a window where none are named.
fn stride(arguments: &Arguments, max_length: usize) -> Result<usize> {
    let stride = arguments
        .stride
        .map_or(max_length / 4, |tokens| tokens as usize);
    let of_the_text = max_length.saturating_sub(SPECIAL_TOKENS);
    if arguments.on_long != OnLong::Window || stride < of_the_text {
        return Ok(stride);
    }
    Err(Error::message(
        Kind::Usage,
        format!(
            "--stride is {stride}: a window of {max_length} tokens has {of_the_text} of the text, and the next one must begin behind its first"
        ),
    ))
}

impl From<Precision> for checkpoint::Dtype {
    fn from(typed: Precision) -> Self {
        match typed {
            Precision::F32 => Self::F32,
            Precision::F16 => Self::F16,
            Precision::Bf16 => Self::BF16,
        }
    }
}
