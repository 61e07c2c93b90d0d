//! Finds and opens the model that the arguments name.

use crate::checkpoint::{Config, Tensors};
use crate::cli::Arguments;
use crate::error::Result;
use crate::hub::{self, Environment, ModelSource, Snapshot};
use crate::notes;
use crate::tokenize::Tokenizer;

/// The directory of the model, without `weights` perhaps without them.
pub(super) fn locate(arguments: &Arguments, weights: bool) -> Result<Snapshot> {
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

/// Whether no network may be used.
pub(super) fn offline(arguments: &Arguments, environment: &Environment) -> bool {
    arguments.offline || environment.offline
}

/// The weights, compared with `config`.
pub(super) fn open_tensors(snapshot: &Snapshot, config: &Config) -> Result<Tensors> {
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

/// The model's own tokenizer.
pub(super) fn load_tokenizer(snapshot: &Snapshot, config: &Config) -> Result<Tokenizer> {
    Tokenizer::load(&snapshot.directory, config.vocab_size)
}
