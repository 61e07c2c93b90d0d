//! Finds the model and opens its parts.

use crate::app::request::Request;
use crate::checkpoint::{Config, WeightFormat};
use crate::error::{Result, counted};
use crate::hub::{self, Environment, ModelSource, Snapshot};
use crate::input::Text;
use crate::model::BertModel;
use crate::notes;
use crate::ops::device::Device;
use crate::options::Options;
use crate::record::Field;
use crate::threads::Threads;
use crate::tokenize::{Detail, Tokenizer};
use crate::vectors::VectorOptions;
use crate::weights::{Tensors, WeightGuard};

/// Finds the model's directory and reads its configuration. Without `weights`, the weights are not
/// downloaded.
pub(crate) fn locate(model: &str, options: &Options, weights: bool) -> Result<(Snapshot, Config)> {
    let source = ModelSource {
        model,
        revision: options.revision.as_deref().unwrap_or("main"),
        cache_dir: options.cache_dir.as_deref(),
        offline: options.offline,
        weights,
        progress: !notes::is_quiet() && std::io::IsTerminal::is_terminal(&std::io::stderr()),
    };
    let snapshot = hub::locate(&source, &Environment::read())?;
    let config = Config::read(&snapshot.directory)?;
    Ok((snapshot, config))
}

/// A model with everything that a run needs.
pub(crate) struct LoadedModel {
    /// Notices if the weights have changed.
    pub(crate) weights: WeightGuard,
    /// Its tokenizer.
    pub(crate) tokenizer: Tokenizer,
    /// The encoder.
    pub(crate) model: BertModel,
    /// The fields of a record that this model can fill.
    pub(crate) fields: Vec<Field>,
    /// How its outputs become vectors.
    pub(crate) vectors: VectorOptions,
}

/// Loads the model for `request`.
///
/// # Errors
/// A file cannot be used, the device has no memory, or the request needs what the model lacks.
pub(crate) fn load(
    request: &Request,
    (snapshot, config): (&Snapshot, &Config),
    device: &Device,
    threads: &Threads,
) -> Result<LoadedModel> {
    let dtype = request.options.dtype;
    let weights = WeightGuard::new(&snapshot.directory)?;
    let tensors = open_tensors(snapshot, config)?;
    if tensors.format() == WeightFormat::Pytorch {
        // The zip form starts just as fast: its tensors are mapped in place.
        notes::note(
            "the weights are a PyTorch pickle: one from before PyTorch 1.6 is copied at each \
             start, a model.safetensors is not",
        );
    }
    // Integers are made from the weights once, so no page of the file stays in use.
    if !dtype.is_integer() {
        tensors.populate_beside(config);
    }
    let (tokenizer, prompt_tokens) = load_tokenizer(request, snapshot, config)?;
    let model = threads.install(|| BertModel::load(&tensors, config, device, dtype))?;
    Ok(LoadedModel {
        fields: request.fields(model.has_pooler())?,
        vectors: VectorOptions {
            prompt_tokens,
            ..request.vectors.clone()
        },
        weights,
        tokenizer,
        model,
    })
}

/// The model's tensors, checked against its configuration.
pub(crate) fn open_tensors(snapshot: &Snapshot, config: &Config) -> Result<Tensors> {
    let tensors = Tensors::open(&snapshot.directory, config.model_type)?;
    tensors.check(config)?;
    let unused = tensors.unused_layers(config);
    if unused > 0 {
        let (key, layers) = config.numbered_layers();
        notes::warning(&format!(
            "`{key}` is {layers} in config.json: ignoring {} of the weights",
            counted(unused as u64, "more layer")
        ));
    }
    Ok(tensors)
}

/// The tokenizer, and the number of tokens at the beginning of each text that are not pooled: those
/// of a prompt that the model leaves out.
pub(crate) fn load_tokenizer(
    request: &Request,
    snapshot: &Snapshot,
    config: &Config,
) -> Result<(Tokenizer, usize)> {
    let mut tokenizer = Tokenizer::load(&snapshot.directory, config.vocab_size)?;
    tokenizer.check_padding(request.tokens.padding)?;
    let Some(sentence) = &request.vectors.sentence else {
        return Ok((tokenizer, 0));
    };
    if sentence.encoder.do_lower_case {
        tokenizer.lowercase()?;
    }
    let mut prompt_tokens = 0;
    if let Some(prompt) = &request.options.prompt
        && !sentence.include_prompt
    {
        let prompt = Text::new(prompt.clone());
        // A prompt with a token that has no row is refused later, with each text.
        let encoding = tokenizer.encode(&prompt, request.tokens.max_length, Detail::default())?;
        // All but the final `[SEP]`.
        prompt_tokens = encoding.tokens() - 1;
    }
    Ok((tokenizer, prompt_tokens))
}
