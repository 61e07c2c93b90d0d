//! What the encoder and the tokenizer must compute for the fields of a record.

use crate::checkpoint::Config;
use crate::error::{Error, Kind, Result, usage};
use crate::model::Output;
use crate::options::{LayerRange, Options};
use crate::record::{Field, Source};
use crate::tokenize::Detail;
use crate::vectors::{LayerMerge, PooledRows, Pooling};

#[derive(Default)]
pub(super) struct Work {
    pub(super) outputs: Vec<Output>,
    /// The outputs that a record keeps.
    pub(super) kept: Vec<Output>,
    /// Whether a record keeps the merged layers.
    pub(super) keeps_merged: bool,
    /// The rows that become `embedding`.
    pub(super) pooled: Option<PooledRows>,
    /// The rows that become the vectors of `words`.
    pub(super) words: Option<PooledRows>,
    pub(super) detail: Detail,
}

impl Work {
    pub(super) fn new(fields: &[Field], options: &Options, config: &Config) -> Result<Self> {
        let mut work = Self::default();
        let hidden_states = hidden_states(&options.layers, config)?;
        let chosen = chosen_rows(options, &hidden_states)?;
        let has_hidden_states = fields.contains(&Field::HiddenStates);
        if has_hidden_states || chosen.is_some() {
            let layers = hidden_states.into_iter();
            work.outputs.extend(layers.map(Output::HiddenState));
        }
        for field in fields {
            match field.spec().source {
                Source::Input | Source::InputIfAny | Source::Tokenizer => {}
                Source::Offsets => work.detail.offsets = true,
                Source::LastLayer => work.keep(Output::LastHiddenState),
                Source::Pooler => work.keep(Output::PoolerOutput),
                Source::Layers => work.keep_layers(options.layer_merge),
                Source::Attentions => {
                    let takes_0 = has_hidden_states || chosen.is_some();
                    let layers = attention_layers(&options.layers, config, takes_0)?;
                    for layer in layers {
                        work.outputs.push(Output::Attentions(layer));
                        work.kept.push(Output::Attentions(layer));
                    }
                    work.detail.whole_text = true;
                }
                Source::Pooling => work.pooled = pooled_rows(options, chosen),
                Source::WordPooling => {
                    work.detail.offsets = true;
                    work.pool_words(chosen);
                }
            }
        }
        work.add_pooled();
        Ok(work)
    }

    fn add(&mut self, output: Output) {
        if !self.outputs.contains(&output) {
            self.outputs.push(output);
        }
    }

    fn keep(&mut self, output: Output) {
        self.add(output);
        if !self.kept.contains(&output) {
            self.kept.push(output);
        }
    }

    fn keep_layers(&mut self, merge: LayerMerge) {
        match merge {
            LayerMerge::None => {
                let layers = self.outputs.iter().filter(|it| it.hidden_state().is_some());
                self.kept.extend(layers);
            }
            LayerMerge::Mean | LayerMerge::Sum | LayerMerge::Concat => self.keeps_merged = true,
        }
    }

    fn pool_words(&mut self, chosen: Option<PooledRows>) {
        let rows = chosen.unwrap_or(PooledRows::Output(Output::LastHiddenState));
        self.words = Some(rows);
        match rows {
            PooledRows::Output(output) => self.keep(output),
            PooledRows::MergedLayers => self.keeps_merged = true,
        }
    }

    fn add_pooled(&mut self) {
        let Some(PooledRows::Output(mut pooled)) = self.pooled else {
            return;
        };
        if pooled == Output::FirstTokens && self.outputs.contains(&Output::LastHiddenState) {
            pooled = Output::LastHiddenState;
        }
        self.pooled = Some(PooledRows::Output(pooled));
        self.add(pooled);
        if pooled == Output::PoolerOutput {
            self.keep(pooled);
        }
    }
}

/// The hidden states of `--layers`, counted from 0; all of them by default.
fn hidden_states(typed: &[LayerRange], config: &Config) -> Result<Vec<usize>> {
    let all = [LayerRange::ALL];
    let ranges = if typed.is_empty() { &all } else { typed };
    let mut layers = Vec::new();
    for range in ranges {
        layers.extend(range.numbers(config.layers())?);
    }
    Ok(layers)
}

/// The rows that `--layers` chooses for pooling; `None` without the option or without pooling.
fn chosen_rows(options: &Options, layers: &[usize]) -> Result<Option<PooledRows>> {
    if options.layers.is_empty() || !options.pools() {
        return Ok(None);
    }
    match (options.layer_merge, layers) {
        (LayerMerge::None, [layer]) => Ok(Some(PooledRows::Output(Output::HiddenState(*layer)))),
        (LayerMerge::None, _) => usage(
            &format!(
                "could not pool {} layers: only one can be pooled",
                layers.len()
            ),
            "merge them with --layer-merge mean, sum or concat",
        ),
        (LayerMerge::Mean | LayerMerge::Sum | LayerMerge::Concat, _) => {
            Ok(Some(PooledRows::MergedLayers))
        }
    }
}

fn pooled_rows(options: &Options, chosen: Option<PooledRows>) -> Option<PooledRows> {
    let output = match options.pooling? {
        Pooling::Pooler => Output::PoolerOutput,
        // With a prompt, the first pooled token may be another one.
        Pooling::Cls if options.prompt.is_none() => Output::FirstTokens,
        Pooling::Cls | Pooling::Mean | Pooling::Max | Pooling::Model => Output::LastHiddenState,
    };
    Some(chosen.unwrap_or(PooledRows::Output(output)))
}

/// The layers of `--layers` for attentions; all layers by default. `takes_0` is whether layer 0 has
/// a use in other fields: it has no attentions.
fn attention_layers(typed: &[LayerRange], config: &Config, takes_0: bool) -> Result<Vec<usize>> {
    let mut layers = hidden_states(typed, config)?;
    if takes_0 || typed.is_empty() || typed.contains(&LayerRange::ALL) {
        layers.retain(|&layer| layer > 0);
    }
    if !layers.is_empty() && !layers.contains(&0) {
        return Ok(layers);
    }
    Err(Error::message(
        Kind::Usage,
        "--layers has 0, the embedding output, which has no attentions: the first layer is 1",
    ))
}
