//! The tensors of a checkpoint, found by the names of [`names`] and compared with the config.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail, ensure};

use super::names::{self, ConfigSize};
use super::shards;
use super::stored_tensor::{StoredTensor, StoredTensors};
use super::tensor_view::TensorView;
use crate::checkpoint::Config;
use crate::checkpoint::weight_files::WeightFormat;
use crate::error::{Classify, Kind, Result};

/// The tensors of one checkpoint, mapped and not read.
///
/// They have the names of transformers' `BertModel`, such as
/// `encoder.layer.0.attention.self.key.bias`, whatever prefix the checkpoint has, and
/// `LayerNorm.weight` even if the file says `gamma`. Other tensors (`cls.*`, `classifier.*`,
/// `position_ids`) are ignored.
pub struct Tensors {
    directory: PathBuf,
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
    /// format, an index does not match its shards, or the tensors are not BERT's.
    pub fn open(directory: &Path) -> Result<Self> {
        let (format, stored) = shards::open(directory)?;
        let prefix = names::prefix(stored.keys().map(String::as_str))
            .with_context(|| could_not_use_weights(directory))
            .kind(Kind::Model)?
            .to_owned();
        Ok(Self {
            directory: directory.to_owned(),
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
        names::count_layers(self.stored.keys().map(String::as_str), &self.prefix)
    }

    fn check_layers(&self, config: &Config) -> anyhow::Result<()> {
        let layers = self.count_layers();
        ensure!(
            layers >= config.num_hidden_layers,
            "`num_hidden_layers` is {} in config.json and {layers} in the weights",
            config.num_hidden_layers
        );
        for (name, dimensions) in names::encoder(config.num_hidden_layers) {
            self.check_tensor(&name, dimensions, config)?;
        }
        Ok(())
    }

    /// How many layers the files have beyond those of `config`; as in transformers, they are not
    /// used.
    #[must_use]
    pub fn unused_layers(&self, config: &Config) -> usize {
        self.count_layers().saturating_sub(config.num_hidden_layers)
    }

    /// The types of the encoder's tensors in the files, after [`Tensors::check`].
    ///
    /// # Errors
    /// As [`Tensors::get`].
    pub fn stored_dtypes(&self, config: &Config) -> Result<BTreeSet<String>> {
        let mut dtypes = BTreeSet::new();
        for (name, _) in names::encoder(config.num_hidden_layers) {
            let stored = self.named(self.stored(&name))?;
            dtypes.extend(stored.map(|(_, tensor)| tensor.place.dtype.to_string()));
        }
        Ok(dtypes)
    }

    /// Whether the files have a pooler.
    #[must_use]
    pub fn has_pooler(&self) -> bool {
        let mut tensors = names::POOLER.tensors("").into_iter();
        tensors.any(|(name, _)| self.entry(&name).is_some())
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

    /// Maps the pages of the layers in their order, on a background thread.
    ///
    /// Touching a 440 MB checkpoint in the page cache takes some 5,000 page faults, 20 ms of the
    /// first forward pass; here they happen while the tokenizer is loaded. The embedding tables are
    /// left out, because a text needs few of their rows.
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
        // does not start, only time is lost.
        let _ = std::thread::Builder::new()
            .name("populate".to_owned())
            .spawn(populate);
    }

    /// The pooler may be missing, but not half of it.
    fn check_pooler(&self, config: &Config) -> anyhow::Result<()> {
        if self.has_pooler() {
            for (name, dimensions) in names::POOLER.tensors("") {
                self.check_tensor(&name, dimensions, config)?;
            }
        }
        Ok(())
    }

    fn check_tensor(
        &self,
        name: &str,
        dimensions: &[ConfigSize],
        config: &Config,
    ) -> anyhow::Result<()> {
        let (name, tensor) = self.stored(name)?.ok_or_else(|| self.missing(name))?;
        let sizes = dimensions.iter().map(|dimension| dimension.size(config));
        if !tensor.place.shape.iter().copied().eq(sizes) {
            let keys: Vec<String> = dimensions
                .iter()
                .map(|dimension| format!("`{}` {}", dimension.key(config), dimension.size(config)))
                .collect();
            let wanted = format!("[{}] of config.json", keys.join(", "));
            bail!(tensor.wrong_shape(name, &wanted));
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
