//! Finds the model and opens its parts.

use crate::app::request::Request;
use crate::checkpoint::{Config, Tensors};
use crate::cli::Arguments;
use crate::error::Result;
use crate::hub::{self, Environment, ModelSource, Snapshot};
use crate::input::Text;
use crate::notes;
use crate::tokenize::{Detail, Tokenizer};

/// The model's directory; without its `weights` if they are not needed.
pub(crate) fn locate(arguments: &Arguments, weights: bool) -> Result<Snapshot> {
    let source = ModelSource {
        model: &arguments.model,
        revision: &arguments.revision,
        cache_dir: arguments.cache_dir.as_deref(),
        offline: arguments.offline,
        weights,
        progress: !arguments.quiet && std::io::IsTerminal::is_terminal(&std::io::stderr()),
    };
    hub::locate(&source, &Environment::read())
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
