//! One batch through the model: windows → tokens end to end → outputs in host memory.

use rayon::prelude::*;

use crate::error::{Error, Kind, Result};
use crate::model::{Batch, BertModel, OutputSelection, Outputs};
use crate::ops::{Download, OutputTensor, Sequence};
use crate::pipeline::encode::Running;
use crate::pipeline::types::{BatchOutputs, TextWindow, WindowBatch};

/// The outputs of one batch on their way to the host.
pub(crate) struct Computation {
    first_rows: Vec<usize>,
    pairs_before: Vec<usize>,
    pairs: usize,
    last_hidden_state: Option<Download>,
    first_tokens: Option<Download>,
    pooler_output: Option<Download>,
    hidden_states: Vec<Download>,
    attentions: Vec<Download>,
}

impl Computation {
    /// Starts computing what is `wanted` of `windows`.
    ///
    /// # Errors
    /// [`Kind::Device`] if the device fails, caused by [`crate::ops::OutOfMemory`] if fewer tokens
    /// may fit.
    pub(crate) fn start(
        model: &BertModel,
        wanted: &OutputSelection,
        windows: &WindowBatch,
    ) -> Result<Self> {
        let batch = model_batch(windows);
        let outputs = if batch.sequences.is_empty() {
            Outputs::default()
        } else {
            model.forward(&batch, wanted)?
        };
        let download = OutputTensor::download;
        let hidden_states = outputs.hidden_states.into_iter().map(download);
        let attentions = outputs.attentions.into_iter().map(download);
        let mut pairs = 0;
        let before = |sequence: &Sequence| {
            let before = pairs;
            pairs += sequence.tokens * sequence.tokens;
            before
        };
        let pairs_before = batch.sequences.iter().map(before).collect();
        Ok(Self {
            first_rows: batch.sequences.iter().map(|it| it.start).collect(),
            pairs_before,
            pairs,
            hidden_states: hidden_states.collect::<Result<_>>()?,
            attentions: attentions.collect::<Result<_>>()?,
            first_tokens: outputs.first_tokens.map(download).transpose()?,
            last_hidden_state: outputs.last_hidden_state.map(download).transpose()?,
            pooler_output: outputs.pooler_output.map(download).transpose()?,
        })
    }
}

/// The tokens of all windows end to end.
fn model_batch(windows: &WindowBatch) -> Batch {
    let mut batch = Batch::default();
    for TextWindow { of, window } in windows.iter().flatten() {
        let (encoding, rows) = (&of.encoding, window.rows.clone());
        batch.push(
            &encoding.window_ids(window),
            &encoding.token_type_ids[rows.clone()],
            encoding.attended.min(rows.end) - rows.start,
        );
    }
    batch
}

impl Running for Computation {
    fn is_done(&self) -> bool {
        let one = [
            &self.last_hidden_state,
            &self.first_tokens,
            &self.pooler_output,
        ];
        let several = self.hidden_states.iter().chain(&self.attentions);
        let mut all = one.into_iter().flatten().chain(several);
        all.all(Download::is_done)
    }

    fn finish(self) -> Result<BatchOutputs> {
        let hidden_states = self.hidden_states.into_iter().map(host);
        let attentions = self.attentions.into_iter().map(host);
        let last_hidden_state = self.last_hidden_state.map(host).transpose()?;
        Ok(BatchOutputs {
            first_rows: self.first_rows,
            pairs_before: self.pairs_before,
            pairs: self.pairs,
            last_hidden_state: last_hidden_state.unwrap_or_default(),
            first_tokens: self.first_tokens.map(host).transpose()?,
            pooler_output: self.pooler_output.map(host).transpose()?,
            hidden_states: hidden_states.collect::<Result<_>>()?,
            attentions: attentions.collect::<Result<_>>()?,
        })
    }
}

/// The numbers that one thread checks at a time.
const CHECKED_AT_ONCE: usize = 1 << 16;

/// The numbers of a download, all of them finite.
fn host(download: Download) -> Result<Vec<f32>> {
    let numbers = download.finish()?;
    let is_finite = |part: &[f32]| part.iter().all(|number| number.is_finite());
    if numbers.par_chunks(CHECKED_AT_ONCE).all(is_finite) {
        return Ok(numbers);
    }
    Err(Error::message(
        Kind::Model,
        "its output is not finite: the weights hold NaN, infinity or numbers too large",
    )
    .context("could not use the model"))
}
