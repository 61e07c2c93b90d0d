//! The weights of a checkpoint → [`Tensors`]: found by their canonical names, compared with the config.
//!
//! Owns what a checkpoint must hold and how a wrong one is refused. Leaves the files to `shards.rs`,
//! the table of names and shapes to `names.rs`, and the numbers to `model/`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Config;
use super::local_file::{check_directory, refusal};
use super::names::{self, Dimension};
use super::safetensors_file::shape_text;
use super::shards::{self, Place, Places};
use super::tensor_view::{Dtype, TensorView};
use crate::error::{Error, Result};

/// The tensors of one checkpoint, mapped and not read.
///
/// Names are those of transformers' `BertModel`, such as `encoder.layer.0.attention.self.key.bias`,
/// whatever prefix the checkpoint has, and `LayerNorm.weight` also where it says `gamma`. Whatever else
/// a checkpoint holds (`cls.*`, `classifier.*`, `position_ids`) is ignored.
pub struct Tensors {
    /// Where the files are, for messages.
    directory: PathBuf,
    /// What the checkpoint puts before every name: empty, `bert.` or another.
    prefix: String,
    places: Places,
}

impl Tensors {
    /// Maps the weight files in `directory`; reads their headers and no page of the weights.
    ///
    /// # Errors
    /// [`Kind::Model`](crate::error::Kind::Model): no weights, a file that is missing, damaged, cut
    /// short or in another format, an index that does not fit its shards, or tensors that are no BERT's.
    pub fn open(directory: &Path) -> Result<Self> {
        check_directory(directory).map_err(|error| unusable(directory, error))?;
        let places = shards::open(directory)?;
        let prefix = names::prefix(places.keys().map(String::as_str))
            .map_err(|error| unusable(directory, error))?
            .to_owned();
        Ok(Self {
            directory: directory.to_owned(),
            prefix,
            places,
        })
    }

    /// The tensor `name`, which must have `shape`.
    ///
    /// # Errors
    /// [`Kind::Model`](crate::error::Kind::Model): the tensor is missing, there in both spellings, or of
    /// another shape or type.
    pub fn get(&self, name: &str, shape: &[usize]) -> Result<TensorView> {
        self.find(name, shape)?
            .ok_or_else(|| unusable(&self.directory, self.missing(name)))
    }

    /// The tensor `name`, none where the checkpoint has none.
    ///
    /// # Errors
    /// As [`Tensors::get`], save for a missing one.
    pub fn find(&self, name: &str, shape: &[usize]) -> Result<Option<TensorView>> {
        self.find_shaped(name, shape)
            .map_err(|error| unusable(&self.directory, error))
    }

    fn find_shaped(&self, name: &str, shape: &[usize]) -> Result<Option<TensorView>> {
        match self.place(name)? {
            None => Ok(None),
            Some((name, place)) if place.info.shape == shape => view(name, place).map(Some),
            Some((name, place)) => Err(wrong_shape(name, place, &shape_text(shape))),
        }
    }

    /// Compares the checkpoint with `config`: as many layers, every tensor there, every shape right.
    ///
    /// After it, what `config` says is what the files hold, so that sizes computed from it are safe to
    /// allocate. The numbers themselves are not looked at: NaN or infinity shows in the outputs.
    ///
    /// # Errors
    /// [`Kind::Model`](crate::error::Kind::Model), naming what the files hold and what `config` asks for.
    pub fn check(&self, config: &Config) -> Result<()> {
        self.check_layers(config)
            .and_then(|()| self.check_pooler(config))
            .map_err(|error| unusable(&self.directory, error))
    }

    fn check_layers(&self, config: &Config) -> Result<()> {
        let layers = names::count_layers(self.places.keys().map(String::as_str), &self.prefix);
        if layers != config.num_hidden_layers {
            return Err(refusal(format!(
                "`num_hidden_layers` is {} in config.json and {layers} in the weights",
                config.num_hidden_layers
            )));
        }
        for (name, dimensions) in names::EMBEDDINGS {
            self.check_tensor(name, dimensions, config)?;
        }
        for layer in 0..layers {
            for (name, dimensions) in names::LAYER {
                self.check_tensor(&format!("encoder.layer.{layer}.{name}"), dimensions, config)?;
            }
        }
        Ok(())
    }

    /// The embeddings and layers by their names, after [`Tensors::check`].
    ///
    /// # Errors
    /// As [`Tensors::get`].
    pub fn encoder(&self, config: &Config) -> Result<Vec<(String, TensorView)>> {
        let layers = 0..config.num_hidden_layers;
        let layers = layers.flat_map(|layer| {
            let named =
                move |(name, dimensions)| (format!("encoder.layer.{layer}.{name}"), dimensions);
            names::LAYER.iter().copied().map(named)
        });
        let embeddings = names::EMBEDDINGS
            .iter()
            .map(|&(name, dimensions)| (name.to_owned(), dimensions));
        let view = |(name, dimensions): (String, &[Dimension])| {
            let shape: Vec<_> = dimensions
                .iter()
                .map(|dimension| dimension.size(config))
                .collect();
            let view = self.get(&name, &shape)?;
            Ok((name, view))
        };
        embeddings.chain(layers).map(view).collect()
    }

    /// Maps the pages of the layers in their order, beside whatever the caller does meanwhile.
    ///
    /// A 440 MB checkpoint in the page cache takes some 5,000 faults to touch, 20 ms of a first
    /// forward; here they pass while the tokenizer is loaded. The embedding tables are left out:
    /// a text needs few of their rows.
    pub fn populate_beside(&self, config: &Config) {
        let layers = self.encoder(config).unwrap_or_default();
        let populate = move || {
            for (name, view) in &layers {
                if !name.starts_with("embeddings.") {
                    view.populate();
                }
            }
        };
        // Not joined: whoever needs a page that is not mapped yet maps it by touching it. Without
        // a thread nothing is lost but the time.
        let _ = std::thread::Builder::new()
            .name("populate".to_owned())
            .spawn(populate);
    }

    /// The pooler may be missing, but not half of it.
    fn check_pooler(&self, config: &Config) -> Result<()> {
        let mut there = false;
        for (name, _) in names::POOLER {
            there |= self.place(name)?.is_some();
        }
        if there {
            for (name, dimensions) in names::POOLER {
                self.check_tensor(name, dimensions, config)?;
            }
        }
        Ok(())
    }

    fn check_tensor(&self, name: &str, dimensions: &[Dimension], config: &Config) -> Result<()> {
        let (name, place) = self.place(name)?.ok_or_else(|| self.missing(name))?;
        let sizes = dimensions.iter().map(|dimension| dimension.size(config));
        if !place.info.shape.iter().copied().eq(sizes) {
            let keys: Vec<String> = dimensions
                .iter()
                .map(|dimension| format!("`{}` {}", dimension.key(), dimension.size(config)))
                .collect();
            let wanted = format!("[{}] of config.json", keys.join(", "));
            return Err(wrong_shape(name, place, &wanted));
        }
        view(name, place).map(drop)
    }

    /// Where the tensor `name` lies, and its name in the file.
    fn place(&self, name: &str) -> Result<Option<(&str, &Place)>> {
        let entry = |name: &str| {
            let (name, place) = self
                .places
                .get_key_value(&format!("{}{name}", self.prefix))?;
            Some((name.as_str(), place))
        };
        let newer = entry(name);
        let older = names::older_spelling(name).and_then(|name| entry(&name));
        match (newer, older) {
            (Some((newer, _)), Some((older, _))) => Err(refusal(format!(
                "the weights hold both `{newer}` and `{older}`, which are one tensor"
            ))),
            (newer, older) => Ok(newer.or(older)),
        }
    }

    fn missing(&self, name: &str) -> Error {
        refusal(format!(
            "the weights hold no tensor `{}{name}`",
            self.prefix
        ))
    }
}

/// `cause`, told as the reason why the checkpoint in `directory` cannot be used.
fn unusable(directory: &Path, cause: Error) -> Error {
    cause.context(format!(
        "cannot use the weights in `{}`",
        directory.display()
    ))
}

/// The tensor at `place`, if its type is one that the engine computes with.
fn view(name: &str, place: &Place) -> Result<TensorView> {
    let Some(dtype) = Dtype::of(place.info.dtype) else {
        return Err(refusal(format!(
            "tensor `{name}` in `{}` is of type {}, supported are F32, F16 and BF16",
            place.file_name, place.info.dtype
        )));
    };
    let (start, end) = place.info.data_offsets;
    let data_start = place.file.data_start;
    Ok(TensorView::new(
        dtype,
        place.info.shape.clone(),
        Arc::clone(&place.file.mapping),
        data_start + start..data_start + end,
    ))
}

fn wrong_shape(name: &str, place: &Place, wanted: &str) -> Error {
    refusal(format!(
        "tensor `{name}` in `{}` has shape {}, which is not the {wanted}",
        place.file_name,
        shape_text(&place.info.shape)
    ))
}
