//! What the options mean for one model: which layers, how many tokens, what is computed.
//!
//! These checks need the model's configuration. They run before any weights are read.

mod work;

use std::path::Path;

use crate::checkpoint::Config;
use crate::error::{Error, Kind, Result, counted};
use crate::model::Output;
use crate::options::Options;
use crate::output::OutputFormat;
use crate::pipeline::{Plan, Prompt, TextTokenizer};
use crate::record::{Dimensions, Field, RunCounts, Source};
use crate::threads::Threads;
use crate::tokenize::{self, Detail, OnLong, Padding, SPECIAL_TOKENS, TokenOptions, Tokenizer};
use crate::vectors::{LayerMerge, Pooling, VectorOptions};
use crate::vectors::{SentenceConfig, SentenceTransformer};
use work::Work;

/// What one run computes; each room gets its own part.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// The options with the model's own values for those that were left out.
    pub(crate) options: Options,
    /// What the encoder computes.
    pub(crate) outputs: Vec<Output>,
    /// How the encoder's outputs become vectors; the tokens of the prompt are not counted yet.
    pub(crate) vectors: VectorOptions,
    /// How texts become tokens.
    pub(crate) tokens: TokenOptions,
    /// The most tokens in a batch.
    batch_tokens: usize,
    /// Format of the output.
    pub(crate) format: OutputFormat,
    /// The model's attention heads.
    heads: usize,
}

impl Request {
    /// What `options` mean for the model with `config` in `directory`, whose records have `fields`.
    /// `batch_tokens` is the default of the device.
    ///
    /// # Errors
    /// [`Kind::Usage`] if the model lacks a layer or has too few positions; [`Kind::Model`] if its
    /// sentence-transformers files are needed and cannot be used.
    pub(crate) fn new(
        options: &Options,
        (format, fields): (OutputFormat, Vec<Field>),
        config: &Config,
        directory: &Path,
        batch_tokens: usize,
    ) -> Result<Self> {
        let sentence = (options.pooling == Some(Pooling::Model))
            .then(|| SentenceTransformer::read(directory, config.hidden_size))
            .transpose()?;
        let prompts = match &sentence {
            Some(sentence) => sentence.config.clone(),
            None if options.prompt.is_some() => SentenceConfig::read(directory)?,
            None => SentenceConfig::default(),
        };
        let prompt = match &options.prompt {
            Some(typed) => Some(prompts.prompt(typed)?),
            None => prompts.default_prompt(),
        };
        let work = Work::new(&fields, options, config)?;
        let tokens = token_options(options, work.detail, config, directory, sentence.as_ref())?;
        let vectors = vector_options(options, &work, config, sentence);
        check_truncate_dim(options, &vectors)?;
        let has_windows = tokens.on_long == OnLong::Window;
        // A tensor [batch, seq] needs rows of one length.
        let padding = match tokens.padding {
            Padding::None if !format.spec().takes_ragged => Padding::Longest,
            padding => padding,
        };
        let layers = work.outputs.iter().filter_map(|it| it.hidden_state());
        Ok(Self {
            options: Options {
                max_length: Some(tokens.max_length as u32),
                stride: has_windows.then_some(tokens.stride as u32),
                padding,
                prompt,
                fields,
                layers: layers.map(|layer| i64::from(layer as u32).into()).collect(),
                truncate_dim: vectors.truncate_dim.map(|kept| kept as u32),
                ..options.clone()
            },
            vectors,
            tokens: TokenOptions { padding, ..tokens },
            batch_tokens: options
                .batch_tokens
                .map_or(batch_tokens, |tokens| tokens as usize),
            format,
            outputs: work.outputs,
            heads: config.num_attention_heads,
        })
    }

    /// How texts become batches, after those that are `done`. The first `prompt_tokens` of each are
    /// not pooled.
    pub(crate) fn plan<'a>(
        &'a self,
        (tokenizer, prompt_tokens): (&'a Tokenizer, usize),
        threads: &'a Threads,
        done: &'a RunCounts,
    ) -> Plan<'a> {
        let prompt = self.options.prompt.as_deref().map(|text| Prompt {
            text,
            left_out: prompt_tokens,
        });
        Plan {
            done,
            fail_fast: false,
            tokenizer: TextTokenizer {
                tokenizer,
                options: &self.tokens,
                prompt,
            },
            threads,
            batch_tokens: self.batch_tokens,
        }
    }

    /// The fields of a record that a checkpoint with or without a pooler can fill. A format without
    /// nulls leaves `pooler_output` out.
    ///
    /// # Errors
    /// [`Kind::Model`] if everything that was selected needs the pooler.
    pub(crate) fn fields(&self, has_pooler: bool) -> Result<Vec<Field>> {
        let mut fields = self.options.fields.clone();
        if has_pooler {
            return Ok(fields);
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
            fields.retain(|field| field.spec().source != Source::Pooler);
            if fields.is_empty() {
                return refuse(
                    &format!("could not write `pooler_output` as {}", self.format.name()),
                    "use --fields embedding --pooling mean",
                );
            }
        }
        Ok(fields)
    }

    #[must_use]
    pub(crate) fn dimensions(&self) -> Dimensions {
        let layers = self.outputs.iter().filter_map(|it| it.hidden_state());
        Dimensions {
            hidden: self.vectors.hidden_size,
            embedding: self.vectors.embedding_width(),
            word: self.vectors.word_width(),
            layers: layers.count(),
            merged_width: self.vectors.merged_width,
            attention_layers: self.attention_layers().len(),
            heads: self.heads,
        }
    }

    /// The layers in `attentions`.
    pub(crate) fn attention_layers(&self) -> Vec<usize> {
        let outputs = self.outputs.iter();
        outputs.filter_map(|it| it.attentions()).collect()
    }
}

fn vector_options(
    options: &Options,
    work: &Work,
    config: &Config,
    sentence: Option<SentenceTransformer>,
) -> VectorOptions {
    let hidden_size = config.hidden_size;
    let layers = work.outputs.iter().filter_map(|it| it.hidden_state());
    VectorOptions {
        hidden_size,
        kept: work.kept.clone(),
        keeps_merged: work.keeps_merged,
        layer_merge: options.layer_merge,
        merged_width: match options.layer_merge {
            LayerMerge::None => None,
            LayerMerge::Concat => Some(layers.count() * hidden_size),
            LayerMerge::Mean | LayerMerge::Sum => Some(hidden_size),
        },
        pooling: options.pooling,
        pooled: work.pooled,
        prompt_tokens: 0,
        truncate_dim: match options.truncate_dim {
            Some(typed) => Some(typed as usize),
            None => sentence.as_ref().and_then(|it| it.config.truncate_dim),
        },
        sentence,
        normalize: options.normalize,
        words: options.word_pooling.zip(work.words),
    }
}

fn check_truncate_dim(options: &Options, vectors: &VectorOptions) -> Result<()> {
    let whole = vectors.whole_width();
    if vectors.truncate_dim == Some(0) {
        let cause = "its `truncate_dim` is 0: nothing is left of `embedding`";
        let error = Error::message(Kind::Model, cause).context("could not use the model");
        return Err(error.with_tip("use --truncate-dim"));
    }
    match options.truncate_dim {
        Some(typed) if typed as usize > whole => Err(Error::message(
            Kind::Usage,
            format!("--truncate-dim is {typed}: `embedding` has {whole} values"),
        )),
        Some(_) | None => Ok(()),
    }
}

fn token_options(
    options: &Options,
    detail: Detail,
    config: &Config,
    directory: &Path,
    sentence: Option<&SentenceTransformer>,
) -> Result<TokenOptions> {
    let positions = config.max_tokens();
    let of_the_sentence = sentence.and_then(|it| it.encoder.max_seq_length);
    let as_the_model_says = of_the_sentence
        .or(tokenize::model_max_length(directory)?)
        .map(|tokens| tokens.min(positions) as u32);
    let max_length = max_length(options.max_length.or(as_the_model_says), config)?;
    if max_length <= SPECIAL_TOKENS {
        let cause = format!(
            "its files allow {} in a text: no text fits between `[CLS]` and `[SEP]`",
            counted(max_length as u64, "token")
        );
        let error = Error::message(Kind::Model, cause).context("could not use the model");
        return Err(error.with_tip("use --max-length"));
    }
    Ok(TokenOptions {
        detail,
        max_length,
        on_long: options.on_long,
        stride: stride(options, max_length)?,
        padding: options.padding,
        type_vocab_size: config.type_vocab_size,
    })
}

/// # Errors
/// [`Kind::Usage`] if the model has fewer positions, [`Kind::Model`] if no text fits into them.
fn max_length(typed: Option<u32>, config: &Config) -> Result<usize> {
    let positions = config.max_tokens();
    if positions <= SPECIAL_TOKENS {
        let cause = format!(
            "the model has {}: no text fits between `[CLS]` and `[SEP]`",
            counted(positions as u64, "position")
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

/// The number of tokens that consecutive windows share: a quarter of a window by default.
fn stride(options: &Options, max_length: usize) -> Result<usize> {
    let stride = options
        .stride
        .map_or(max_length / 4, |tokens| tokens as usize);
    let of_the_text = max_length.saturating_sub(SPECIAL_TOKENS);
    if options.on_long != OnLong::Window || stride < of_the_text {
        return Ok(stride);
    }
    Err(Error::message(
        Kind::Usage,
        format!(
            "--stride is {stride}: a window of {max_length} tokens has {of_the_text} of the text, \
             so the next window would not advance"
        ),
    ))
}
