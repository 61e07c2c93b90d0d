//! The whole encoder on one kind of device.

use super::layer::Layer;
use super::pooler::Pooler;
use super::{Batch, Loader, OutputSelection, Outputs};
use crate::error::Result;
use crate::ops::{Backend, PerEmbedding};

/// Embeddings, layers and pooler with their weights.
pub(super) struct Encoder<B: Backend> {
    backend: B,
    embeddings: B::Embeddings,
    layers: Vec<Layer<B>>,
    pooler: Option<Pooler<B>>,
    head_dim: usize,
}

impl<B: Backend> Encoder<B> {
    /// All parts of the model.
    pub(super) fn load(loader: Loader<B>) -> Result<Self> {
        let config = loader.config;
        let head_dim = config.hidden_size / config.num_attention_heads;
        loader.backend.check_sizes(config.hidden_size, head_dim)?;
        let layers = (0..config.num_hidden_layers).map(|number| Layer::load(&loader, number));
        Ok(Self {
            embeddings: loader.embeddings()?,
            layers: layers.collect::<Result<_>>()?,
            pooler: Pooler::load(&loader)?,
            backend: loader.backend,
            head_dim,
        })
    }

    /// Whether the checkpoint has a pooler.
    pub(super) fn has_pooler(&self) -> bool {
        self.pooler.is_some()
    }

    /// See [`super::BertModel::forward`].
    pub(super) fn forward(&self, batch: &Batch, selection: &OutputSelection) -> Result<Outputs> {
        let mut hidden_states: Vec<_> = selection.hidden_states.iter().map(|_| None).collect();
        let mut keep = |number: usize, hidden: &B::HiddenStates| -> Result<()> {
            let places = selection.hidden_states.iter().zip(&mut hidden_states);
            for (_, place) in places.filter(|(selected, _)| **selected == number) {
                *place = Some(B::rows(hidden)?);
            }
            Ok(())
        };
        let sequences = self.backend.sequences(&batch.sequences, self.head_dim)?;
        let ids = PerEmbedding {
            word: &batch.input_ids[..],
            token_type: &batch.token_type_ids[..],
            position: &batch.position_ids[..],
        };
        let mut hidden = B::embeddings(&self.embeddings, ids)?;
        keep(0, &hidden)?;
        let layers = &self.layers[..self.layers_needed(selection)];
        for (number, layer) in (1..).zip(layers) {
            hidden = layer.forward(&hidden, &sequences)?;
            keep(number, &hidden)?;
        }
        let pooler = self.pooler.as_ref().filter(|_| selection.pooler_output);
        let pool = |pooler: &Pooler<B>| pooler.forward(&hidden, &batch.sequences);
        let pooler_output = pooler.map(pool).transpose()?;
        let last_hidden_state = selection.last_hidden_state.then(|| B::rows(&hidden));
        Ok(Outputs {
            last_hidden_state: last_hidden_state.transpose()?,
            pooler_output,
            hidden_states: hidden_states.into_iter().flatten().collect(),
        })
    }

    /// The layers that the selected outputs depend on.
    fn layers_needed(&self, selection: &OutputSelection) -> usize {
        if selection.last_hidden_state || selection.pooler_output {
            return self.layers.len();
        }
        let highest = selection.hidden_states.iter().copied().max();
        highest.unwrap_or(0).min(self.layers.len())
    }
}
