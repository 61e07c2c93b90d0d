//! The arguments' meaning for one model: which layers, how many tokens, what is computed.
//!
//! Owns the checks that need the model's configuration; they happen before any weight is read.

use crate::checkpoint::Config;
use crate::cli::{Arguments, Field, Format, LayerMerge, OnLong, Padding, Pooling, WordPooling};
use crate::error::{Error, Kind, Result};
use crate::model::Wanted;
use crate::tokenize::{Detail, SPECIAL_TOKENS};

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
}

impl Request {
    /// What `arguments` mean for a model of `config`.
    ///
    /// # Errors
    /// [`Kind::Usage`] where the model has no such layer or not so many positions.
    pub fn new(arguments: &Arguments, format: Format, config: &Config) -> Result<Self> {
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
            (Format::Json, Padding::None) => Padding::Longest,
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
            batch_tokens: arguments.batch_tokens as usize,
            detail: Detail {
                offsets: [Field::OffsetMapping, Field::WordIds, Field::Words]
                    .into_iter()
                    .any(has),
            },
            hidden_size: config.hidden_size,
            fields,
        })
    }

    /// Checks what is asked of a checkpoint without a pooler.
    ///
    /// # Errors
    /// [`Kind::Model`] where the vector of a text would be its pooler's.
    pub fn check_pooler(&self, has_pooler: bool) -> Result<()> {
        if has_pooler || self.pooling != Some(Pooling::Pooler) {
            return Ok(());
        }
        Err(Error::message(Kind::Model, "the checkpoint has no pooler")
            .context("could not pool with `pooler`")
            .with_tip("use --pooling cls or --pooling mean"))
    }
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
