//! The whole encoder on one kind of device.

use super::layer::Layer;
use super::pooler::Pooler;
use super::{Batch, Forward, Loader, OutputSelection, Outputs};
use crate::error::Result;
use crate::ops::{Backend, OutputTensor};

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
        let head_dim = config.head_dim();
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

    fn embed(&self, batch: &Batch) -> Result<B::HiddenStates> {
        // In the order of the tables, see `Loader::embeddings`.
        let ids: [&[u32]; 3] = [&batch.input_ids, &batch.token_type_ids, &batch.position_ids];
        B::embeddings(&self.embeddings, &ids)
    }

    /// The layers that all tokens go through for `selection`, and after them the one for the first
    /// tokens alone, if the last layer's output is needed for no others.
    fn layers_for(&self, selection: &OutputSelection) -> (&[Layer<B>], Option<&Layer<B>>) {
        let all = self.layers.len();
        match self.layers.split_last() {
            Some((last, before)) if selection.takes_only_first_tokens(all) => (before, Some(last)),
            _ => (&self.layers[..selection.layers_needed(all)], None),
        }
    }
}

impl<B: Backend> Forward for Encoder<B> {
    fn has_pooler(&self) -> bool {
        self.pooler.is_some()
    }

    fn forward(&self, batch: &Batch, selection: &OutputSelection) -> Result<Outputs> {
        let mut hidden_states = LayerSelection::new(&selection.hidden_states);
        let mut attentions = LayerSelection::new(&selection.attentions);
        let sequences = self.backend.sequences(&batch.sequences, self.head_dim)?;
        let (layers, layer_of_first) = self.layers_for(selection);

        let mut hidden = self.embed(batch)?;
        hidden_states.put(0, || B::rows(&hidden))?;
        for (number, layer) in (1..).zip(layers) {
            let (output, probs) = layer.forward(&hidden, &sequences, attentions.has(number))?;
            hidden = output;
            hidden_states.put(number, || B::rows(&hidden))?;
            if let Some(probs) = probs {
                attentions.put(number, || Ok(probs.clone()))?;
            }
        }

        let (mut pooler_output, mut first_tokens) = (None, None);
        let pooler = self.pooler.as_ref().filter(|_| selection.pooler_output);
        if pooler.is_some() || selection.first_tokens {
            let starts: Vec<_> = batch.sequences.iter().map(|it| it.start).collect();
            let mut cls = B::select(&hidden, &starts)?;
            if let Some(layer) = layer_of_first {
                cls = layer.forward_first(&hidden, &cls, &sequences)?;
            }
            pooler_output = pooler.map(|pooler| pooler.forward(&cls)).transpose()?;
            first_tokens = output_if(selection.first_tokens, &cls, B::rows)?;
        }
        Ok(Outputs {
            last_hidden_state: output_if(selection.last_hidden_state, &hidden, B::rows)?,
            first_tokens,
            pooler_output,
            hidden_states: hidden_states.outputs(),
            attentions: attentions.outputs(),
        })
    }
}

/// One output for each layer that was selected, in the order of the selection.
struct LayerSelection<'a> {
    numbers: &'a [usize],
    outputs: Vec<Option<OutputTensor>>,
}

impl<'a> LayerSelection<'a> {
    fn new(numbers: &'a [usize]) -> Self {
        Self {
            numbers,
            outputs: numbers.iter().map(|_| None).collect(),
        }
    }

    fn has(&self, number: usize) -> bool {
        self.numbers.contains(&number)
    }

    /// Keeps the output of layer `number` in each place that selects it.
    fn put(&mut self, number: usize, output: impl Fn() -> Result<OutputTensor>) -> Result<()> {
        for (&selected, place) in self.numbers.iter().zip(&mut self.outputs) {
            if selected == number {
                *place = Some(output()?);
            }
        }
        Ok(())
    }

    fn outputs(self) -> Vec<OutputTensor> {
        self.outputs.into_iter().flatten().collect()
    }
}

/// The output of `hidden` if it was selected.
fn output_if<H>(
    is_selected: bool,
    hidden: &H,
    output: fn(&H) -> Result<OutputTensor>,
) -> Result<Option<OutputTensor>> {
    is_selected.then(|| output(hidden)).transpose()
}
