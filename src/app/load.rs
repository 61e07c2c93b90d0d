//! Finds the model and opens its parts.

use crate::app::request::Request;
use crate::checkpoint::{Config, WeightFormat};
use crate::cli::Arguments;
use crate::error::Result;
use crate::hub::{self, Environment, ModelSource, Snapshot};
use crate::input::Text;
use crate::model::BertModel;
use crate::notes;
use crate::ops::device::Device;
use crate::tokenize::{Detail, Tokenizer};
use crate::weights::{Tensors, WeightGuard};

/// The model's directory, without its `weights` if they are not needed, and its configuration.
pub(crate) fn locate(arguments: &Arguments, weights: bool) -> Result<(Snapshot, Config)> {
    let source = ModelSource {
        model: &arguments.model,
        revision: &arguments.revision,
        cache_dir: arguments.cache_dir.as_deref(),
        offline: arguments.offline,
        weights,
        progress: !arguments.quiet && std::io::IsTerminal::is_terminal(&std::io::stderr()),
    };
    let snapshot = hub::locate(&source, &Environment::read())?;
    let config = Config::read(&snapshot.directory)?;
    Ok((snapshot, config))
}

/// A model with everything that a run needs.
pub(crate) struct LoadedModel {
    /// Tells whether the weights have changed.
    pub(crate) weights: WeightGuard,
    /// Its tokenizer.
    pub(crate) tokenizer: Tokenizer,
    /// The encoder.
    pub(crate) model: BertModel,
}

/// Loads the model for `request`.
///
/// # Errors
/// A file cannot be used, the device has no memory, or the request needs what the model lacks.
pub(crate) fn load(
    arguments: &Arguments,
    request: &mut Request,
    (snapshot, config): (&Snapshot, &Config),
    device: &Device,
) -> Result<LoadedModel> {
    let weights = WeightGuard::new(&snapshot.directory)?;
    let tensors = open_tensors(snapshot, config)?;
    if tensors.format() == WeightFormat::Pytorch {
        // The zip form starts just as fast: its numbers are used in place.
        notes::note(
            "the weights are a PyTorch pickle: one from before PyTorch 1.6 is copied at each \
             start, a model.safetensors is not",
        );
    }
    // Integers are made of the weights once, and leave no page behind.
    if !arguments.dtype.is_integer() {
        tensors.populate_beside(config);
    }
    let tokenizer = tokenizer_for(request, snapshot, config)?;
    let model = BertModel::load(&tensors, config, device, arguments.dtype)?;
    request.check_pooler(model.has_pooler())?;
    Ok(LoadedModel {
        weights,
        tokenizer,
        model,
    })
}

/// The model's tensors, checked against its configuration.
pub(crate) fn open_tensors(snapshot: &Snapshot, config: &Config) -> Result<Tensors> {
    let tensors = Tensors::open(&snapshot.directory)?;
    tensors.check(config)?;
    let unused = tensors.unused_layers(config);
    if unused > 0 {
        notes::warning(&format!(
            "`num_hidden_layers` is {} in config.json: {unused} more in the weights are left out",
            config.num_hidden_layers
        ));
    }
    Ok(tensors)
}

/// The tokenizer of `request`. Sets how many tokens the prompt has.
pub(crate) fn tokenizer_for(
    request: &mut Request,
    snapshot: &Snapshot,
    config: &Config,
) -> Result<Tokenizer> {
    let mut tokenizer = Tokenizer::load(&snapshot.directory, config.vocab_size)?;
    tokenizer.check_padding(request.tokens.padding)?;
    let Some(sentence) = &request.vectors.sentence else {
        return Ok(tokenizer);
    };
    if sentence.encoder.do_lower_case {
        tokenizer.lowercase()?;
    }
    if let Some(prompt) = &request.prompt
        && !sentence.include_prompt
    {
        let prompt = Text::new(prompt.clone());
        // One with a token that has no row is refused with each text.
        let encoding = tokenizer.encode(&prompt, request.tokens.max_length, Detail::default())?;
        // All but the `[SEP]` at its end.
        request.vectors.prompt_tokens = encoding.tokens() - 1;
    }
    Ok(tokenizer)
}
