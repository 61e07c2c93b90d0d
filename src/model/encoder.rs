//! The whole encoder on one kind of device.

use std::sync::Arc;

use super::embeddings::Embeddings;
use super::layer::Layer;
use super::pooler::Pooler;
use super::{Batch, Forward, Loader, Output, Outputs, RowPer, relative_position};
use crate::error::Result;
use crate::ops::{AttentionBias, Backend, OutputTensor};

/// Embeddings, layers and pooler with their weights.
pub(super) struct Encoder<B: Backend> {
    backend: B,
    embeddings: Embeddings<B>,
    attention_bias: Option<Arc<AttentionBias>>,
    layers: Vec<Layer<B>>,
    /// Which of `layers` a token goes through.
    layer_order: Vec<usize>,
    pooler: Option<Pooler<B>>,
}

impl<B: Backend> Encoder<B> {
    /// All parts of the model.
    pub(super) fn load(loader: Loader<B>) -> Result<Self> {
        let config = loader.config;
        let layers = (0..config.stored_layers()).map(|number| Layer::load(&loader, number));
        Ok(Self {
            embeddings: Embeddings::load(&loader)?,
            attention_bias: relative_position::load(&loader)?.map(Arc::new),
            layers: layers.collect::<Result<_>>()?,
            layer_order: config.layer_order(),
            pooler: Pooler::load(&loader)?,
            backend: loader.backend,
        })
    }

    /// The layers that all tokens go through for `selected`, and after them the one for the first
    /// tokens alone, if the last layer's output is needed for no others.
    fn layers_for(&self, selected: &[Output]) -> (&[usize], Option<usize>) {
        let all = self.layer_order.len();
        let mut of_last = selected.iter().filter(|it| it.layers_needed(all) == all);
        let Some((&last, before)) = self.layer_order.split_last() else {
            return (&self.layer_order, None);
        };
        let first_row_only = |output: &Output| output.row_per() == RowPer::Sequence;
        if of_last.clone().next().is_some() && of_last.all(first_row_only) {
            return (before, Some(last));
        }
        let needed = selected.iter().map(|it| it.layers_needed(all)).max();
        (&self.layer_order[..needed.unwrap_or(0)], None)
    }
}

impl<B: Backend> Forward for Encoder<B> {
    fn has_pooler(&self) -> bool {
        self.pooler.is_some()
    }

    fn forward(&self, batch: &Batch, selected: &[Output]) -> Result<Outputs> {
        let mut outputs = SelectedOutputs::new(selected);
        let bias = self.attention_bias.as_ref();
        let sequences = self.backend.sequences(&batch.sequences, bias)?;
        let (layers, layer_of_first) = self.layers_for(selected);

        let mut hidden = self.embeddings.forward(batch)?;
        outputs.put(Output::HiddenState(0), || B::rows(&hidden))?;
        for (number, &layer) in (1..).zip(layers) {
            let layer = &self.layers[layer];
            let attentions = Output::Attentions(number);
            let (output, probs) = layer.forward(&hidden, &sequences, outputs.has(attentions))?;
            hidden = output;
            outputs.put(Output::HiddenState(number), || B::rows(&hidden))?;
            if let Some(probs) = probs {
                outputs.put(attentions, || Ok(probs))?;
            }
        }
        outputs.put(Output::LastHiddenState, || B::rows(&hidden))?;

        if selected.iter().any(|it| it.row_per() == RowPer::Sequence) {
            let starts: Vec<_> = batch.sequences.iter().map(|it| it.start).collect();
            let mut cls = B::select(&hidden, &starts)?;
            if let Some(layer) = layer_of_first {
                cls = self.layers[layer].forward_first(&hidden, &cls, &sequences)?;
            }
            outputs.put(Output::FirstTokens, || B::rows(&cls))?;
            if let Some(pooler) = &self.pooler {
                outputs.put(Output::PoolerOutput, || pooler.forward(&cls))?;
            }
        }
        Ok(outputs.computed())
    }
}

/// The outputs that were selected, each empty until it is computed.
struct SelectedOutputs(Vec<(Output, Option<OutputTensor>)>);

impl SelectedOutputs {
    fn new(selected: &[Output]) -> Self {
        Self(selected.iter().map(|&output| (output, None)).collect())
    }

    fn has(&self, output: Output) -> bool {
        self.0.iter().any(|(selected, _)| *selected == output)
    }

    /// Computes `output` if it is selected; one that is selected several times is copied.
    fn put(
        &mut self,
        output: Output,
        compute: impl FnOnce() -> Result<OutputTensor>,
    ) -> Result<()> {
        let places = self
            .0
            .iter_mut()
            .filter(|(selected, _)| *selected == output);
        let mut places: Vec<_> = places.map(|(_, place)| place).collect();
        if let Some((last, others)) = places.split_last_mut() {
            let tensor = compute()?;
            for place in others {
                **place = Some(tensor.clone());
            }
            **last = Some(tensor);
        }
        Ok(())
    }

    fn computed(self) -> Outputs {
        let outputs = self.0.into_iter();
        outputs
            .filter_map(|(output, tensor)| Some((output, tensor?)))
            .collect()
    }
}
