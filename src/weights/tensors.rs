//! The weights of a checkpoint → [`Tensors`]: found by their canonical names, compared with the
//! config, refused if one is missing or wrong.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::names::{self, ConfigSize};
use super::shards;
use super::stored_tensor::{StoredTensor, StoredTensors};
use super::tensor_view::TensorView;
use crate::checkpoint::Config;
use crate::checkpoint::local_file::model_error;
use crate::checkpoint::weight_files::WeightFormat;
use crate::error::{Error, Result};

/// The tensors of one checkpoint, mapped and not read.
///
/// Names are those of transformers' `BertModel`, such as `encoder.layer.0.attention.self.key.bias`,
/// whatever prefix the checkpoint has, and `LayerNorm.weight` even if it says `gamma`. Whatever
/// else a checkpoint holds (`cls.*`, `classifier.*`, `position_ids`) is ignored.
pub struct Tensors {
    /// Where the files are, for messages.
    directory: PathBuf,
    /// What the checkpoint puts before every name: empty, `bert.` or another.
    prefix: String,
    format: WeightFormat,
    stored: StoredTensors,
}

impl Tensors {
    /// Maps the weight files in `directory`; reads their headers and no page of the weights.
    ///
    /// # Errors
    /// [`Kind::Model`](crate::error::Kind::Model): no weights, a file that is missing, damaged, cut
    /// short or in another format, an index that does not fit its shards, or tensors of something
    /// other than BERT.
    pub fn open(directory: &Path) -> Result<Self> {
        let (format, stored) = shards::open(directory)?;
        let prefix = names::prefix(stored.keys().map(String::as_str))
            .map_err(|error| unusable(directory, error))?
            .to_owned();
        Ok(Self {
            directory: directory.to_owned(),
            prefix,
            format,
            stored,
        })
    }

    /// How the weights are stored.
    #[must_use]
    pub fn format(&self) -> WeightFormat {
        self.format
    }

    /// The tensor `name`, which must have `shape`.
    ///
    /// # Errors
    /// [`Kind::Model`](crate::error::Kind::Model): the tensor is missing, present in both
    /// spellings, or of another shape or type.
    pub fn get(&self, name: &str, shape: &[usize]) -> Result<TensorView> {
        self.find(name, shape)?
            .ok_or_else(|| unusable(&self.directory, self.missing(name)))
    }

    /// The tensor `name`, or none if the checkpoint has none.
    ///
    /// # Errors
    /// As [`Tensors::get`], except that it may be missing.
    pub fn find(&self, name: &str, shape: &[usize]) -> Result<Option<TensorView>> {
        let stored = self.stored(name).and_then(|stored| {
            let view = stored.map(|(name, tensor)| tensor.shaped(name, shape));
            view.transpose()
        });
        stored.map_err(|error| unusable(&self.directory, error))
    }

    /// Compares the checkpoint with `config`: enough layers, every tensor there, every shape right.
    ///
    /// After it, the sizes in `config` are those of the files, so memory of these sizes is safe to
    /// allocate. The numbers are not checked: NaN or infinity shows in the outputs.
    ///
    /// # Errors
    /// [`Kind::Model`](crate::error::Kind::Model), naming what the files hold and what `config`
    /// asks for.
    pub fn check(&self, config: &Config) -> Result<()> {
        self.check_layers(config)
            .and_then(|()| self.check_pooler(config))
            .map_err(|error| unusable(&self.directory, error))
    }

    fn check_layers(&self, config: &Config) -> Result<()> {
        let layers = names::count_layers(self.stored.keys().map(String::as_str), &self.prefix);
        if layers < config.num_hidden_layers {
            return Err(model_error(format!(
                "`num_hidden_layers` is {} in config.json and {layers} in the weights",
                config.num_hidden_layers
            )));
        }
        for (name, dimensions) in names::encoder(config.num_hidden_layers) {
            self.check_tensor(&name, dimensions, config)?;
        }
        Ok(())
    }

    /// Layers that the files hold beyond those of `config`. They are left out, as in transformers.
    #[must_use]
    pub fn unused_layers(&self, config: &Config) -> usize {
        let layers = names::count_layers(self.stored.keys().map(String::as_str), &self.prefix);
        layers.saturating_sub(config.num_hidden_layers)
    }

    /// The types of the encoder's numbers in the files, after [`Tensors::check`].
    ///
    /// # Errors
    /// As [`Tensors::get`].
    pub fn stored_dtypes(&self, config: &Config) -> Result<BTreeSet<String>> {
        let mut dtypes = BTreeSet::new();
        for (name, _) in names::encoder(config.num_hidden_layers) {
            let stored = self.stored(&name)?;
            dtypes.extend(stored.map(|(_, tensor)| tensor.place.dtype.to_string()));
        }
        Ok(dtypes)
    }

    /// Whether the files hold a pooler.
    ///
    /// # Errors
    /// They hold one of its tensors in two spellings.
    pub fn has_pooler(&self) -> Result<bool> {
        for (name, _) in names::POOLER.tensors("") {
            if self.stored(&name)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The embeddings and layers by their names, after [`Tensors::check`].
    ///
    /// # Errors
    /// As [`Tensors::get`].
    pub fn encoder(&self, config: &Config) -> Result<Vec<(String, TensorView)>> {
        let view = |(name, dimensions): (String, &[ConfigSize])| {
            let shape: Vec<_> = dimensions
                .iter()
                .map(|dimension| dimension.size(config))
                .collect();
            let view = self.get(&name, &shape)?;
            Ok((name, view))
        };
        let named = names::encoder(config.num_hidden_layers);
        named.into_iter().map(view).collect()
    }

    /// Maps the pages of the layers in their order, on a thread of its own.
    ///
    /// A 440 MB checkpoint in the page cache takes some 5,000 page faults to touch, 20 ms of a
    /// first forward; here they happen while the tokenizer is loaded. The embedding tables are left
    /// out: a text needs few of their rows.
    pub fn populate_beside(&self, config: &Config) {
        let layers = self.encoder(config).unwrap_or_default();
        let populate = move || {
            for (name, view) in &layers {
                if !name.starts_with("embeddings.") {
                    view.populate();
                }
            }
        };
        // Not joined: a page that is not mapped yet is mapped when it is touched. If the thread
        // cannot start, only time is lost.
        let _ = std::thread::Builder::new()
            .name("populate".to_owned())
            .spawn(populate);
    }

    /// The pooler may be missing, but not half of it.
    fn check_pooler(&self, config: &Config) -> Result<()> {
        if self.has_pooler()? {
            for (name, dimensions) in names::POOLER.tensors("") {
                self.check_tensor(&name, dimensions, config)?;
            }
        }
        Ok(())
    }

    fn check_tensor(&self, name: &str, dimensions: &[ConfigSize], config: &Config) -> Result<()> {
        let (name, tensor) = self.stored(name)?.ok_or_else(|| self.missing(name))?;
        let sizes = dimensions.iter().map(|dimension| dimension.size(config));
        if !tensor.place.shape.iter().copied().eq(sizes) {
            let keys: Vec<String> = dimensions
                .iter()
                .map(|dimension| format!("`{}` {}", dimension.key(), dimension.size(config)))
                .collect();
            let wanted = format!("[{}] of config.json", keys.join(", "));
            return Err(tensor.wrong_shape(name, &wanted));
        }
        tensor.engine_dtype(name).map(drop)
    }

    /// The tensor `name`, with its name in the file.
    fn stored(&self, name: &str) -> Result<Option<(&str, &StoredTensor)>> {
        let entry = |name: &str| {
            let (name, tensor) = self
                .stored
                .get_key_value(&format!("{}{name}", self.prefix))?;
            Some((name.as_str(), tensor))
        };
        let newer = entry(name);
        let older = names::older_spelling(name).and_then(|name| entry(&name));
        match (newer, older) {
            (Some((newer, _)), Some((older, _))) => Err(model_error(format!(
                "the weights hold both `{newer}` and `{older}`, which are one tensor"
            ))),
            (newer, older) => Ok(newer.or(older)),
        }
    }

    fn missing(&self, name: &str) -> Error {
        model_error(format!(
            "the weights hold no tensor `{}{name}`",
            self.prefix
        ))
    }
}

/// `cause` as the reason why the checkpoint in `directory` cannot be used.
fn unusable(directory: &Path, cause: Error) -> Error {
    cause.context(format!(
        "could not use the weights in `{}`",
        directory.display()
    ))
}
