//! The tensors of a checkpoint, found by the names of [`names`] and compared with the config.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail, ensure};

use super::names::{self, NamedTensor};
use super::prefix::prefix;
use super::shards;
use super::stored_tensor::{StoredTensor, StoredTensors};
use super::tensor_view::TensorView;
use crate::checkpoint::weight_files::WeightFormat;
use crate::checkpoint::{Config, ModelType};
use crate::error::{Classify, Kind, Result};

/// The tensors of one checkpoint, mapped and not read.
///
/// They have the names of transformers' base model, such as `BertModel`'s
/// `encoder.layer.0.attention.self.key.bias`, whatever prefix the checkpoint has, and
/// `LayerNorm.weight` even if the file says `gamma`. Other tensors (`cls.*`, `classifier.*`,
/// `position_ids`) are ignored.
pub struct Tensors {
    directory: PathBuf,
    model_type: ModelType,
    /// The checkpoint's prefix of every name: empty, `bert.` or another.
    prefix: String,
    format: WeightFormat,
    stored: StoredTensors,
}

impl Tensors {
    /// Maps the weight files in `directory`; reads their headers and no page of the weights.
    ///
    /// # Errors
    /// [`Kind::Model`]: there are no weights, a file is missing, damaged, cut short or in another
    /// format, an index does not match its shards, or the tensors are not a `model_type`'s.
    pub fn open(directory: &Path, model_type: ModelType) -> Result<Self> {
        let (format, stored) = shards::open(directory)?;
        let prefix = prefix(stored.keys().map(String::as_str), model_type)
            .with_context(|| could_not_use_weights(directory))
            .kind(Kind::Model)?
            .to_owned();
        Ok(Self {
            directory: directory.to_owned(),
            model_type,
            prefix,
            format,
            stored,
        })
    }

    #[must_use]
    pub(crate) fn format(&self) -> WeightFormat {
        self.format
    }

    /// The tensor `name`, which must have `shape`.
    ///
    /// # Errors
    /// [`Kind::Model`]: the tensor is missing, present in both spellings, or of another shape or
    /// type.
    pub fn get(&self, name: &str, shape: &[usize]) -> Result<TensorView> {
        let found = self.find(name, shape)?;
        self.named(found.ok_or_else(|| self.missing(name)))
    }

    /// The tensor `name`, or `None` if the checkpoint does not have it.
    ///
    /// # Errors
    /// As [`Tensors::get`], except that it may be missing.
    pub fn find(&self, name: &str, shape: &[usize]) -> Result<Option<TensorView>> {
        let view = self.stored(name).and_then(|stored| {
            let view = stored.map(|(name, tensor)| tensor.shaped(name, shape));
            view.transpose()
        });
        self.named(view)
    }

    /// Checks that the checkpoint has the layers of `config` and every tensor in the right shape.
    ///
    /// Afterwards it is safe to allocate memory of the sizes in `config`, because the files have
    /// them too. The values are not checked: NaN or infinity shows in the outputs.
    ///
    /// # Errors
    /// [`Kind::Model`], with both sizes.
    pub fn check(&self, config: &Config) -> Result<()> {
        let checked = self.check_layers(config);
        self.named(checked.and_then(|()| self.check_pooler(config)))
    }

    fn count_layers(&self) -> usize {
        let names = self.stored.keys().map(String::as_str);
        names::count_layers(names, &self.prefix, self.model_type)
    }

    fn check_layers(&self, config: &Config) -> anyhow::Result<()> {
        let (layers, (key, expected)) = (self.count_layers(), config.numbered_layers());
        ensure!(
            layers >= expected,
            "`{key}` is {expected} in config.json and {layers} in the weights"
        );
        for tensor in names::encoder(config) {
            self.check_tensor(&tensor, config)?;
        }
        Ok(())
    }

    /// How many layers, or groups of layers, the files have beyond those of `config`; as in
    /// transformers, they are not used.
    #[must_use]
    pub fn unused_layers(&self, config: &Config) -> usize {
        let (_, expected) = config.numbered_layers();
        self.count_layers().saturating_sub(expected)
    }

    /// The types of the encoder's tensors in the files, after [`Tensors::check`].
    ///
    /// # Errors
    /// As [`Tensors::get`].
    pub fn stored_dtypes(&self, config: &Config) -> Result<BTreeSet<String>> {
        let mut dtypes = BTreeSet::new();
        for tensor in names::encoder(config) {
            let stored = self.named(self.stored(&tensor.name))?;
            dtypes.extend(stored.map(|(_, tensor)| tensor.place.dtype.to_string()));
        }
        Ok(dtypes)
    }

    /// Whether the files have a pooler that the model's type uses.
    #[must_use]
    pub fn has_pooler(&self, config: &Config) -> bool {
        let mut tensors = names::POOLER.tensors("", config).into_iter();
        let uses_one = config.model_type.facts().tensors.has_pooler;
        uses_one && tensors.any(|tensor| self.entry(&tensor.name).is_some())
    }

    /// Everything but the pooler by its names, after [`Tensors::check`].
    ///
    /// # Errors
    /// As [`Tensors::get`].
    pub fn encoder(&self, config: &Config) -> Result<Vec<(String, TensorView)>> {
        self.views(names::encoder(config), config)
    }

    fn views(
        &self,
        tensors: impl Iterator<Item = NamedTensor>,
        config: &Config,
    ) -> Result<Vec<(String, TensorView)>> {
        let view = |tensor: NamedTensor| {
            let view = self.get(&tensor.name, &tensor.shape(config))?;
            Ok((tensor.name, view))
        };
        tensors.map(view).collect()
    }

    /// Maps the pages of the layers in their order, on a background thread.
    ///
    /// Touching a 440 MB checkpoint in the page cache takes some 5,000 page faults, 20 ms of the
    /// first forward pass; here they happen while the tokenizer is loaded. The embedding tables are
    /// left out, because a text needs few of their rows.
    pub fn populate_beside(&self, config: &Config) {
        let layers = self
            .views(names::layers(config), config)
            .unwrap_or_default();
        let populate = move || {
            for (_, view) in &layers {
                view.populate();
            }
        };
        // Not joined: a page that is not mapped yet is mapped when it is touched. If the thread
        // does not start, only time is lost.
        let _ = std::thread::Builder::new()
            .name("populate".to_owned())
            .spawn(populate);
    }

    /// The pooler may be missing, but not half of it.
    fn check_pooler(&self, config: &Config) -> anyhow::Result<()> {
        if self.has_pooler(config) {
            for tensor in names::POOLER.tensors("", config) {
                self.check_tensor(&tensor, config)?;
            }
        }
        Ok(())
    }

    fn check_tensor(&self, wanted: &NamedTensor, config: &Config) -> anyhow::Result<()> {
        let stored = self.stored(&wanted.name)?;
        let (name, tensor) = stored.ok_or_else(|| self.missing(&wanted.name))?;
        let shape = wanted.shape(config);
        if tensor.place.shape != shape {
            let keys = wanted.dimensions.iter().map(|it| it.key(config));
            let sizes: Vec<String> = keys
                .zip(shape)
                .map(|(key, size)| format!("`{key}` {size}"))
                .collect();
            let sizes = format!("[{}] of config.json", sizes.join(", "));
            bail!(tensor.wrong_shape(name, &sizes));
        }
        tensor.engine_dtype(name).map(drop)
    }

    /// The tensor `name`, with its name in the file.
    fn stored(&self, name: &str) -> anyhow::Result<Option<(&str, &StoredTensor)>> {
        let newer = self.entry(name);
        let older = names::older_spelling(name).and_then(|name| self.entry(&name));
        if let (Some((newer, _)), Some((older, _))) = (newer, older) {
            bail!("the weights hold both `{newer}` and `{older}`, which are one tensor");
        }
        Ok(newer.or(older))
    }

    fn entry(&self, name: &str) -> Option<(&str, &StoredTensor)> {
        let name = format!("{}{name}", self.prefix);
        let (name, tensor) = self.stored.get_key_value(&name)?;
        Some((name, tensor))
    }

    fn missing(&self, name: &str) -> anyhow::Error {
        anyhow!("the weights hold no tensor `{}{name}`", self.prefix)
    }

    /// Adds to an error that it is about these weights.
    fn named<T>(&self, result: anyhow::Result<T>) -> Result<T> {
        result
            .with_context(|| could_not_use_weights(&self.directory))
            .kind(Kind::Model)
    }
}

fn could_not_use_weights(directory: &Path) -> String {
    format!("could not use the weights in `{}`", directory.display())
}
