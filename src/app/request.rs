//! What the arguments mean for one model: which layers, how many tokens, what is computed.
//!
//! The checks here need the model's configuration; they happen before any weight is read.

use std::path::Path;

use crate::checkpoint::Config;
use crate::cli::Arguments;
use crate::error::{Error, Kind, Result};
use crate::model::OutputSelection;
use crate::output::OutputFormat;
use crate::pipeline::{Plan, Prompt, TextTokenizer};
use crate::record::{Dimensions, Field, RunCounts, Source};
use crate::tokenize::{self, Detail, OnLong, Padding, SPECIAL_TOKENS, TokenOptions, Tokenizer};
use crate::vectors::{LayerMerge, Pooling, VectorOptions};
use crate::vectors::{SentenceConfig, SentenceTransformer};

/// What one run computes and prints; each room gets its own part.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// The fields of a record, in order.
    pub(crate) fields: Vec<Field>,
    /// What the encoder computes.
    pub(crate) wanted: OutputSelection,
    /// How the encoder's outputs become vectors.
    pub(crate) vectors: VectorOptions,
    /// How texts become tokens.
    pub(crate) tokens: TokenOptions,
    /// What is put before each text.
    pub(crate) prompt: Option<String>,
    /// The most tokens in a batch.
    pub(crate) batch_tokens: usize,
    /// Whether the first bad text ends the run.
    pub(crate) fail_fast: bool,
    /// Format of the output.
    pub(crate) format: OutputFormat,
    /// The model's attention heads.
    pub(crate) heads: usize,
}

impl Request {
    /// What `arguments` mean for the model with `config` in `directory`. `batch_tokens` is the
    /// default of the device.
    ///
    /// # Errors
    /// [`Kind::Usage`] if the model lacks a layer or has too few positions; [`Kind::Model`] if its
    /// sentence-transformers files are needed and cannot be used.
    pub(crate) fn new(
        arguments: &Arguments,
        config: &Config,
        directory: &Path,
        batch_tokens: usize,
    ) -> Result<Self> {
        let sentence = (arguments.pooling == Some(Pooling::Model))
            .then(|| SentenceTransformer::read(directory, config.hidden_size))
            .transpose()?;
        let prompts = match &sentence {
            Some(sentence) => sentence.config.clone(),
            None if arguments.prompt.is_some() => SentenceConfig::read(directory)?,
            None => SentenceConfig::default(),
        };
        let fields = arguments.record_fields();
        let (wanted, detail) = work(&fields, arguments, config)?;
        let batch_tokens = arguments
            .batch_tokens
            .map_or(batch_tokens, |tokens| tokens as usize);
        Ok(Self {
            prompt: match &arguments.prompt {
                Some(typed) => Some(prompts.prompt(typed)?),
                None => prompts.default_prompt(),
            },
            tokens: token_options(arguments, detail, config, directory, sentence.as_ref())?,
            vectors: vector_options(arguments, &fields, &wanted, config, sentence),
            wanted,
            batch_tokens,
            fail_fast: arguments.fail_fast,
            format: arguments.output_format(),
            heads: config.num_attention_heads,
            fields,
        })
    }

    /// How texts become batches, behind those that are `done`.
    pub(crate) fn plan<'a>(&'a self, tokenizer: &'a Tokenizer, done: &'a RunCounts) -> Plan<'a> {
        let prompt = self.prompt.as_deref().map(|text| Prompt {
            text,
            left_out: self.vectors.prompt_tokens,
        });
        Plan {
            done,
            fail_fast: self.fail_fast,
            tokenizer: TextTokenizer {
                tokenizer,
                options: &self.tokens,
                prompt,
            },
            batch_tokens: self.batch_tokens,
        }
    }

    /// Checks whether the request can do without a pooler. A format without nulls leaves
    /// `pooler_output` out.
    ///
    /// # Errors
    /// [`Kind::Model`] if everything that was asked for needs the pooler.
    pub(crate) fn check_pooler(&mut self, has_pooler: bool) -> Result<()> {
        if has_pooler {
            return Ok(());
        }
        let refuse = |what: &str, tip: &str| {
            let error = Error::message(Kind::Model, "the checkpoint has no pooler");
            Err(error.context(what).with_tip(tip))
        };
        if self.vectors.pooling == Some(Pooling::Pooler) {
            return refuse(
                "could not pool with `pooler`",
                "use --pooling cls or --pooling mean",
            );
        }
        if !self.format.spec().takes_nulls {
            let is_there = |field: &Field| field.spec().source != Source::Pooler;
            self.fields.retain(is_there);
            if self.fields.is_empty() {
                return refuse(
                    &format!("could not write `pooler_output` as {}", self.format.name()),
                    "use --fields embedding --pooling mean",
                );
            }
        }
        Ok(())
    }

    /// The sizes of the fields' dimensions.
    #[must_use]
    pub(crate) fn dimensions(&self) -> Dimensions {
        Dimensions {
            hidden: self.vectors.hidden_size,
            embedding: self.vectors.embedding_width(),
            layers: self.wanted.hidden_states.len(),
            merged_width: self.vectors.merged_width,
            attention_layers: self.wanted.attentions.len(),
            heads: self.heads,
        }
    }
}

/// What the encoder and the tokenizer have to do for `fields`.
fn work(
    fields: &[Field],
    arguments: &Arguments,
    config: &Config,
) -> Result<(OutputSelection, Detail)> {
    let (mut wanted, mut detail) = (OutputSelection::default(), Detail::default());
    for field in fields {
        match field.spec().source {
            Source::Input | Source::InputIfAny | Source::Tokenizer => {}
            Source::Offsets => detail.offsets = true,
            Source::LastLayer => wanted.last_hidden_state = true,
            Source::Pooler => wanted.pooler_output = true,
            Source::Layers => wanted.hidden_states = layers(&arguments.layers, config)?,
            Source::Attentions => {
                wanted.attentions = attention_layers(&arguments.layers, config)?;
                detail.whole_text = true;
            }
            Source::Pooling => match arguments.pooling {
                Some(Pooling::Pooler) => wanted.pooler_output = true,
                // With a prompt, the vector of another token is taken.
                Some(Pooling::Cls) if arguments.prompt.is_none() => wanted.first_tokens = true,
                Some(Pooling::Cls | Pooling::Mean | Pooling::Max | Pooling::Model) => {
                    wanted.last_hidden_state = true;
                }
                None => {}
            },
            Source::WordPooling => {
                wanted.last_hidden_state = true;
                detail.offsets = true;
            }
        }
    }
    wanted.first_tokens &= !wanted.last_hidden_state;
    Ok((wanted, detail))
}

/// The layers whose attentions are in `--layers`; all of them if none is named.
fn attention_layers(typed: &[i64], config: &Config) -> Result<Vec<usize>> {
    if typed.is_empty() {
        return Ok((1..=config.num_hidden_layers).collect());
    }
    let layers = layers(typed, config)?;
    if layers.contains(&0) {
        return Err(Error::message(
            Kind::Usage,
            "--layers has 0, the embedding output, which has no attentions: the first layer is 1",
        ));
    }
    Ok(layers)
}

fn vector_options(
    arguments: &Arguments,
    fields: &[Field],
    wanted: &OutputSelection,
    config: &Config,
    sentence: Option<SentenceTransformer>,
) -> VectorOptions {
    let hidden_size = config.hidden_size;
    VectorOptions {
        hidden_size,
        keep_rows: fields.contains(&Field::LastHiddenState) || arguments.word_pooling.is_some(),
        layer_merge: arguments.layer_merge,
        merged_width: match arguments.layer_merge {
            LayerMerge::None => None,
            LayerMerge::Concat => Some(wanted.hidden_states.len() * hidden_size),
            LayerMerge::Mean | LayerMerge::Sum => Some(hidden_size),
        },
        pooling: arguments.pooling,
        prompt_tokens: 0,
        truncate_dim: match arguments.truncate_dim {
            Some(typed) => Some(typed as usize),
            None => sentence.as_ref().and_then(|it| it.config.truncate_dim),
        },
        sentence,
        normalize: arguments.normalize,
        word_pooling: arguments.word_pooling,
    }
}

fn token_options(
    arguments: &Arguments,
    detail: Detail,
    config: &Config,
    directory: &Path,
    sentence: Option<&SentenceTransformer>,
) -> Result<TokenOptions> {
    let positions = config.max_position_embeddings;
    let of_the_sentence = sentence.and_then(|it| it.encoder.max_seq_length);
    let as_the_model_says = of_the_sentence
        .or(tokenize::model_max_length(directory)?)
        .map(|tokens| tokens.min(positions) as u32);
    let max_length = max_length(arguments.max_length.or(as_the_model_says), config)?;
    Ok(TokenOptions {
        detail,
        max_length,
        on_long: arguments.on_long,
        stride: stride(arguments, max_length)?,
        // A tensor [batch, seq] needs rows of one length.
        padding: match arguments.padding {
            Padding::None if !arguments.output_format().spec().takes_ragged => Padding::Longest,
            padding => padding,
        },
        takes_pairs: config.type_vocab_size > 1,
    })
}

/// The numbers of the hidden states in `--layers`; all of them if none is named.
fn layers(typed: &[i64], config: &Config) -> Result<Vec<usize>> {
    let count = config.num_hidden_layers + 1;
    if typed.is_empty() {
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
            Error::message(
                Kind::Usage,
                format!(
                    "the model has no layer {layer}: it has {last} layers, \
                 so 0 to {last} or -1 to -{count} are allowed"
                ),
            )
        })
    };
    typed.iter().map(number).collect()
}

/// # Errors
/// [`Kind::Usage`] if the model has fewer positions, [`Kind::Model`] if no text fits into them.
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

/// The tokens that consecutive windows share, by default a quarter of a window.
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
            "--stride is {stride}: a window of {max_length} tokens has {of_the_text} of the text, \
             and the next one must begin behind its first"
        ),
    ))
}
