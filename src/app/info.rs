//! `--info`: describes a model and its files. It reads no text, and only the headers of the
//! weights.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use super::load::{locate, open_tensors};
use crate::checkpoint::{files, modules};
use crate::cli::Arguments;
use crate::error::{Classify, Kind, Result};
use crate::hub::{self, Environment, Snapshot};
use crate::output::OutputFormat;
use crate::standard_streams;
use crate::tokenize::Tokenizer;

/// A file, and its size if known.
#[derive(Serialize)]
struct FileSize {
    name: String,
    bytes: Option<u64>,
}

/// What `--info` prints. Dimensions have their names in `config.json`.
#[derive(Serialize)]
struct ModelInfo {
    model: String,
    commit: Option<String>,
    directory: String,
    files: Vec<FileSize>,
    model_type: &'static str,
    num_hidden_layers: usize,
    hidden_size: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    vocab_size: usize,
    max_position_embeddings: usize,
    /// The maximum number of tokens in a text, with `[CLS]` and `[SEP]` or their like.
    max_tokens: usize,
    type_vocab_size: Option<usize>,
    is_cased: bool,
    /// Number types of the encoder's stored tensors; `None` without weights.
    dtypes: Option<Vec<String>>,
    has_pooler: Option<bool>,
    /// The classes of its sentence-transformers modules.
    modules: Vec<String>,
    /// Files that may change the vectors; the cache does not know whether the model has them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unknown: Vec<String>,
    /// Files that a run would download: empty if none, `None` if offline.
    download: Option<Vec<FileSize>>,
}

/// Prints the description of the model that `arguments` name.
///
/// # Errors
/// The model is missing or unusable, or standard output cannot be written.
pub(super) fn info(arguments: &Arguments) -> Result<()> {
    let info = describe(arguments)?;
    let mut to = standard_streams::output()?;
    let printed = if arguments.format == Some(OutputFormat::Json) {
        serde_json::to_writer(&mut to, &info)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(to))
    } else {
        info.print(&mut to)
    };
    printed.and_then(|()| to.flush()).kind(Kind::Output)
}

fn describe(arguments: &Arguments) -> Result<ModelInfo> {
    let (snapshot, config) = locate(&arguments.model, &arguments.options, false)?;
    let tokenizer = Tokenizer::load(&snapshot.directory, config.vocab_size)?;
    let has_weights = files::model_files(&snapshot.directory, true);
    let (names, download, tensors) = match has_weights {
        Ok(names) => {
            let tensors = open_tensors(&snapshot, &config)?;
            (names, Some(Vec::new()), Some(tensors))
        }
        // A local directory must have weights; the weights of a cached model can still be
        // downloaded.
        Err(error) if snapshot.commit.is_none() => return Err(error),
        Err(_) => {
            let names = files::model_files(&snapshot.directory, false)?;
            (names, download(arguments, &snapshot)?, None)
        }
    };
    let dtypes = tensors
        .as_ref()
        .map(|tensors| tensors.stored_dtypes(&config));
    let has_pooler = tensors.as_ref().map(|it| it.has_pooler(&config));
    Ok(ModelInfo {
        directory: snapshot.directory.display().to_string(),
        files: names
            .into_iter()
            .map(|name| sized(&snapshot.directory, name))
            .collect(),
        model_type: config.model_type.name(),
        num_hidden_layers: config.layers(),
        hidden_size: config.hidden_size,
        num_attention_heads: config.num_attention_heads,
        intermediate_size: config.intermediate_size,
        vocab_size: config.vocab_size,
        max_position_embeddings: config.max_position_embeddings,
        max_tokens: config.max_tokens(),
        type_vocab_size: config.type_vocab_size,
        is_cased: tokenizer.is_cased(),
        dtypes: dtypes
            .transpose()?
            .map(|dtypes| dtypes.into_iter().collect()),
        has_pooler,
        modules: modules(&snapshot.root),
        unknown: snapshot.unknown,
        download,
        model: snapshot.model,
        commit: snapshot.commit,
    })
}

fn modules(root: &Path) -> Vec<String> {
    let modules = modules::listed(root);
    modules
        .iter()
        .map(|module| module.class().to_owned())
        .collect()
}

/// The weights that the cache lacks; `None` if offline.
fn download(arguments: &Arguments, snapshot: &Snapshot) -> Result<Option<Vec<FileSize>>> {
    let environment = Environment::read();
    if arguments.options.offline || environment.offline {
        return Ok(None);
    }
    let weights = hub::weights_on_hub(&environment, snapshot)?;
    let sized = |(name, bytes)| FileSize { name, bytes };
    Ok(Some(weights.into_iter().map(sized).collect()))
}

fn sized(directory: &Path, name: String) -> FileSize {
    let metadata = directory.join(&name).metadata();
    FileSize {
        bytes: metadata.ok().map(|metadata| metadata.len()),
        name,
    }
}

impl ModelInfo {
    fn print(&self, to: &mut dyn Write) -> io::Result<()> {
        let mut row = |name: &str, value: &str| writeln!(to, "{name:<13}{value}");
        row("model", &self.model)?;
        row(
            "commit",
            self.commit.as_deref().unwrap_or("none (a local directory)"),
        )?;
        row("directory", &self.directory)?;
        row("type", self.model_type)?;
        row("layers", &self.num_hidden_layers.to_string())?;
        row("hidden size", &self.hidden_size.to_string())?;
        row("heads", &self.num_attention_heads.to_string())?;
        row("feed-forward", &self.intermediate_size.to_string())?;
        row("vocabulary", &format!("{} tokens", self.vocab_size))?;
        let longest = self.max_tokens;
        row(
            "longest text",
            &format!("{longest} tokens with the special ones"),
        )?;
        let segments = self.type_vocab_size.map(|it| it.to_string());
        row("segments", segments.as_deref().unwrap_or("not told apart"))?;
        row("letters", if self.is_cased { "cased" } else { "uncased" })?;
        let unknown = "unknown until the weights are downloaded";
        let dtypes = self.dtypes.as_ref().map(|dtypes| dtypes.join(", "));
        row("dtype", dtypes.as_deref().unwrap_or(unknown))?;
        let pooler = self.has_pooler.map(|has| if has { "yes" } else { "none" });
        row("pooler", pooler.unwrap_or(unknown))?;
        let modules = self.modules.join(", ");
        row(
            "modules",
            if modules.is_empty() { "none" } else { &modules },
        )?;
        for file in &self.files {
            row("file", &file.words())?;
        }
        for file in &self.unknown {
            row("unknown", &format!("{file}, not in the cache"))?;
        }
        match self.download.as_deref() {
            None => row("to download", "the weights (size unknown offline)"),
            Some([]) => row("to download", "nothing"),
            Some(files) => files
                .iter()
                .try_for_each(|file| row("to download", &file.words())),
        }
    }
}

impl FileSize {
    fn words(&self) -> String {
        match self.bytes {
            Some(bytes) => format!("{}, {bytes} bytes", self.name),
            None => format!("{}, size unknown", self.name),
        }
    }
}
