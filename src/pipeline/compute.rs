//! One batch through the model: windows → tokens end to end → outputs in host memory.

use rayon::prelude::*;

use crate::error::{Error, Kind, Result};
use crate::model::{Batch, BertModel, Output, Outputs};
use crate::ops::OutputTensor;
use crate::pipeline::encode::PendingOutputs;
use crate::pipeline::types::{TextWindow, WindowBatch};
use crate::threads::Threads;

/// The forward pass of a model, in a pool of threads.
#[derive(Clone, Copy)]
pub(crate) struct ThreadedModel<'a> {
    pub model: &'a BertModel,
    pub outputs: &'a [Output],
    pub threads: &'a Threads,
}

/// The outputs of a batch that the device has started.
pub(crate) struct BatchInFlight<'a> {
    outputs: Outputs<OutputTensor>,
    threads: &'a Threads,
}

impl<'a> ThreadedModel<'a> {
    /// Starts computing `windows`.
    ///
    /// # Errors
    /// [`Kind::Device`] if the device fails, caused by [`crate::ops::OutOfMemory`] if fewer tokens
    /// may fit.
    pub(crate) fn start(self, windows: &WindowBatch) -> Result<BatchInFlight<'a>> {
        let Self {
            model,
            outputs,
            threads,
        } = self;
        let outputs = threads.install(|| start(model, outputs, windows))?;
        Ok(BatchInFlight { outputs, threads })
    }
}

fn start(
    model: &BertModel,
    selected: &[Output],
    windows: &WindowBatch,
) -> Result<Outputs<OutputTensor>> {
    let batch = model_batch(windows);
    if batch.sequences.is_empty() {
        return Ok(Outputs::default());
    }
    model.forward(&batch, selected)
}

/// The tokens of all windows end to end.
fn model_batch(windows: &WindowBatch) -> Batch {
    let mut batch = Batch::default();
    for TextWindow { text, window, .. } in windows.iter().flatten() {
        let (encoding, rows) = (&text.encoding, window.rows.clone());
        batch.push(
            &encoding.window_ids(window),
            &encoding.token_type_ids[rows.clone()],
            encoding.attended.min(rows.end) - rows.start,
        );
    }
    batch
}

impl PendingOutputs for BatchInFlight<'_> {
    fn is_ready(&self) -> bool {
        self.outputs.iter().all(|(_, output)| output.is_on_host())
    }

    fn wait(self) -> Result<Outputs<Vec<f32>>> {
        let Self { outputs, threads } = self;
        threads.install(|| outputs.try_map(finite_values))
    }
}

/// The values that one thread checks at a time.
const CHECKED_AT_ONCE: usize = 1 << 16;

/// Waits for an output and checks that its values are finite.
fn finite_values(output: OutputTensor) -> Result<Vec<f32>> {
    let values = output.into_host()?;
    let is_finite = |part: &[f32]| part.iter().all(|value| value.is_finite());
    if values.par_chunks(CHECKED_AT_ONCE).all(is_finite) {
        return Ok(values);
    }
    Err(Error::message(
        Kind::Model,
        "its output is not finite: the weights hold NaN, infinity or values that are too large",
    )
    .context("could not use the model"))
}
