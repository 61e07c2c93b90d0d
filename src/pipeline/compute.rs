//! One batch through the model: windows → tokens end to end → outputs in host memory.

use rayon::prelude::*;

use crate::error::{Error, Kind, Result};
use crate::model::{Batch, BertModel, OutputSelection, Outputs};
use crate::ops::{Download, OutputTensor, Sequence};
use crate::pipeline::encode::Running;
use crate::pipeline::types::{BatchOutputs, TextWindow, WindowBatch};

/// Starts computing what is `wanted` of `windows`.
///
/// # Errors
/// [`Kind::Device`] if the device fails, caused by [`crate::ops::OutOfMemory`] if fewer tokens may
/// fit.
pub(crate) fn start(
    model: &BertModel,
    wanted: &OutputSelection,
    windows: &WindowBatch,
) -> Result<BatchOutputs<Download>> {
    let batch = model_batch(windows);
    let outputs = if batch.sequences.is_empty() {
        Outputs::none()
    } else {
        model.forward(&batch, wanted)?
    };
    let mut pairs = 0;
    let before = |sequence: &Sequence| {
        let before = pairs;
        pairs += sequence.tokens * sequence.tokens;
        before
    };
    let pairs_before = batch.sequences.iter().map(before).collect();
    Ok(BatchOutputs {
        first_rows: batch.sequences.iter().map(|it| it.start).collect(),
        pairs_before,
        pairs,
        outputs: outputs.try_map(OutputTensor::download)?,
    })
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

impl Running for BatchOutputs<Download> {
    fn is_done(&self) -> bool {
        self.outputs.iter().all(Download::is_done)
    }

    fn finish(self) -> Result<BatchOutputs> {
        Ok(BatchOutputs {
            first_rows: self.first_rows,
            pairs_before: self.pairs_before,
            pairs: self.pairs,
            outputs: self.outputs.try_map(host)?,
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
