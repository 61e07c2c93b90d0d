//! `--self-test`: checks this installation with the chosen model and device.
//!
//! Four checks: the hashes of the model's files, the tokens of the notebook's sentence, our encoder
//! against candle's BERT (different code, same weights), and the values that the notebook printed.

mod stock;

use std::collections::HashMap;
use std::io::Write;

use anyhow::Context;
use serde::Deserialize;

use crate::checkpoint::Config;
use crate::cli::DEFAULT_MODEL;
use crate::error::{Classify, Error, Kind, Result};
use crate::hub::{self, Snapshot};
use crate::input::Text;
use crate::model::{Batch, BertModel, Output};
use crate::ops::device::{self, Device};
use crate::ops::{OutputTensor, Precision};
use crate::tokenize::{Detail, Encoding, Tokenizer};
use crate::weights::Tensors;

/// The notebook that this project follows: its sentence, and the values it printed.
const NOTEBOOK: &str = include_str!("notebook.json");

/// On trained weights, a different order of summation shifts results by about 1e-5, a wrong formula
/// by more than 1e-3.
const SECOND_IMPLEMENTATION_TOLERANCE: f32 = 1e-4;

/// The notebook's values are printed with four decimals.
const NOTEBOOK_TOLERANCE: f32 = 1e-4;

#[derive(Deserialize)]
struct Notebook {
    sentence: String,
    tokens: Vec<String>,
    input_ids: Vec<u32>,
    attention_mask: Vec<u32>,
    last_hidden_state_corners: HashMap<String, serde_json::Value>,
    pooler_output_first: Vec<f32>,
}

/// The result of one check, with its figures.
enum Verdict {
    Pass(String),
    Fail(String),
    NotRun(String),
}

impl Verdict {
    fn of(passed: bool, figures: String) -> Self {
        if passed {
            Self::Pass(figures)
        } else {
            Self::Fail(figures)
        }
    }
}

/// The model under test, and everything that was loaded for it.
pub(crate) struct SelfTest<'a> {
    /// Where its files are.
    pub(crate) snapshot: &'a Snapshot,
    /// Its configuration.
    pub(crate) config: &'a Config,
    /// Its tensors.
    pub(crate) tensors: &'a Tensors,
    /// Its tokenizer.
    pub(crate) tokenizer: &'a Tokenizer,
    /// The encoder in f32.
    pub(crate) model: &'a BertModel,
    /// A number type to compare with f32.
    pub(crate) dtype: Precision,
    /// Where the encoder runs.
    pub(crate) device: &'a Device,
}

impl SelfTest<'_> {
    /// Runs every check and prints PASS or FAIL with the figures.
    ///
    /// # Errors
    /// [`Kind::Model`] if a check fails or could not be made.
    pub(crate) fn run(&self, to: &mut dyn Write) -> Result<()> {
        let notebook: Notebook = serde_json::from_str(NOTEBOOK).kind(Kind::Internal)?;
        let (batch, encoding) = self.notebook_batch(&notebook)?;
        let outputs = self.model.forward(&batch, &Output::LAST_AND_POOLER)?;
        let outputs = outputs.try_map(numbers)?;
        let output = |output| outputs.get(output).map(Vec::as_slice);
        let states = output(Output::LastHiddenState);
        let pooled = output(Output::PoolerOutput);
        let mut checks = vec![
            ("files", self.check_files()?),
            ("tokens", self.check_tokens(&notebook, &encoding)),
            ("encoder", self.check_encoder(&batch, states)?),
            ("notebook", self.check_notebook(&notebook, states, pooled)?),
        ];
        if let Some(least) = least_cosine(self.dtype) {
            checks.push(("dtype", self.check_dtype(&batch, states, least)?));
        }
        let failed = checks
            .iter()
            .any(|(_, verdict)| matches!(verdict, Verdict::Fail(_)));
        self.report(&checks, failed, to)
            .context("could not write the report")
            .kind(Kind::Output)?;
        if failed {
            let what = format!(
                "could not trust this installation with `{}`",
                self.snapshot.model
            );
            return Err(Error::message(Kind::Model, "the self-test failed").context(what));
        }
        Ok(())
    }

    fn report(
        &self,
        checks: &[(&str, Verdict)],
        failed: bool,
        to: &mut dyn Write,
    ) -> std::io::Result<()> {
        for (name, verdict) in checks {
            let (word, figures) = match verdict {
                Verdict::Pass(figures) => ("pass", figures),
                Verdict::Fail(figures) => ("FAIL", figures),
                Verdict::NotRun(why) => ("not run", why),
            };
            writeln!(to, "{name:9} {word:8} {figures}")?;
        }
        let commit = self
            .snapshot
            .commit
            .as_deref()
            .unwrap_or("a local directory");
        let word = if failed { "FAIL" } else { "PASS" };
        writeln!(
            to,
            "{word} {} ({commit}) on {}",
            self.snapshot.model,
            device::name(self.device)
        )
    }

    /// The notebook's sentence as the notebook padded it.
    fn notebook_batch(&self, notebook: &Notebook) -> Result<(Batch, Encoding)> {
        let text = Text::new(notebook.sentence.clone());
        let tokens = notebook.input_ids.len();
        let mut encoding = self.tokenizer.encode(&text, tokens, Detail::default())?;
        if let Some(cause) = self.tokenizer.without_row(&encoding) {
            return Err(Error::message(Kind::Model, cause));
        }
        self.tokenizer.pad(&mut encoding, tokens);
        let mut batch = Batch::default();
        batch.push(
            &encoding.input_ids,
            &encoding.token_type_ids,
            encoding.attended,
        );
        Ok((batch, encoding))
    }

    fn check_files(&self) -> Result<Verdict> {
        let hashes = hub::verify(self.snapshot)?;
        let known: Vec<_> = hashes
            .iter()
            .filter_map(|hash| Some((hash, hash.matches()?)))
            .collect();
        Ok(
            if let Some((hash, _)) = known.iter().find(|(_, matches)| !matches) {
                let expected = hash.expected.as_deref().unwrap_or_default();
                Verdict::Fail(format!(
                    "{} has the hash {}, expected {expected}",
                    hash.file, hash.found
                ))
            } else if known.is_empty() {
                Verdict::NotRun("a local directory: the hub's hashes are not known".to_owned())
            } else {
                Verdict::Pass(format!(
                    "{} of {} files have the hub's hash",
                    known.len(),
                    hashes.len()
                ))
            },
        )
    }

    fn check_tokens(&self, notebook: &Notebook, encoding: &Encoding) -> Verdict {
        let known = notebook.tokens.iter().zip(&notebook.input_ids);
        if known
            .clone()
            .any(|(token, &id)| self.tokenizer.token(id) != *token)
        {
            return Verdict::NotRun("the vocabulary is not bert-base-uncased's".to_owned());
        }
        let ends = [encoding.input_ids.first(), notebook.input_ids.first()];
        if ends[0] != ends[1] {
            let first = ends[0]
                .map(|&id| self.tokenizer.token(id))
                .unwrap_or_default();
            return Verdict::NotRun(format!("the model's first token is `{first}`, not `[CLS]`"));
        }
        let attended = notebook.attention_mask.iter().sum::<u32>() as usize;
        if encoding.input_ids == notebook.input_ids && encoding.attended == attended {
            return Verdict::Pass(format!("the notebook's {} ids", encoding.tokens()));
        }
        Verdict::Fail(format!(
            "got {:?}, expected {:?}",
            encoding.input_ids, notebook.input_ids
        ))
    }

    /// Our encoder against another implementation on the same weights and tokens, padding included.
    fn check_encoder(&self, batch: &Batch, ours: Option<&[f32]>) -> Result<Verdict> {
        let (name, stock) =
            stock::last_hidden_state(self.tensors, self.config, batch, self.device)?;
        let difference = ours
            .map(|ours| largest_difference(ours, &stock))
            .transpose()?;
        let difference = difference.unwrap_or(f32::NAN);
        let figures = format!(
            "largest difference from {name} {difference:.1e} \
             (allowed {SECOND_IMPLEMENTATION_TOLERANCE:.0e})"
        );
        // A NaN fails every comparison.
        let passed = difference <= SECOND_IMPLEMENTATION_TOLERANCE;
        Ok(Verdict::of(passed, figures))
    }

    /// Our encoder in `dtype` against itself in f32, without the padding tokens.
    fn check_dtype(&self, batch: &Batch, exact: Option<&[f32]>, least: f64) -> Result<Verdict> {
        let model = BertModel::load(self.tensors, self.config, self.device, self.dtype)?;
        let outputs = model.forward(batch, &[Output::LastHiddenState])?;
        let rounded = outputs.into(Output::LastHiddenState);
        let rounded = rounded.map(numbers).transpose()?;
        let hidden_size = self.config.hidden_size;
        let tokens = batch.sequences.first().map_or(0, |it| it.attended);
        let [exact, rounded] = [exact, rounded.as_deref()].map(|states| {
            let states = states.unwrap_or_default();
            &states[..states.len().min(tokens * hidden_size)]
        });
        let difference = largest_difference(rounded, exact)?;
        let rows = exact.chunks(hidden_size).zip(rounded.chunks(hidden_size));
        let cosine = rows
            .map(|(one, other)| cosine(one, other))
            .fold(1.0, f64::min);
        let figures = format!(
            "largest difference from f32 {difference:.1e}, smallest cosine of a token {cosine:.6} \
             (allowed {least})"
        );
        // A NaN fails every comparison.
        let passed = difference.is_finite() && cosine >= least;
        Ok(Verdict::of(passed, figures))
    }

    /// The values that the notebook printed, for the model it used.
    fn check_notebook(
        &self,
        notebook: &Notebook,
        states: Option<&[f32]>,
        pooled: Option<&[f32]>,
    ) -> Result<Verdict> {
        if self.snapshot.model != DEFAULT_MODEL {
            return Ok(Verdict::NotRun(format!("its values are {DEFAULT_MODEL}'s")));
        }
        let (Some(states), Some(pooled)) = (states, pooled) else {
            return Ok(Verdict::Fail("the checkpoint has no pooler".to_owned()));
        };
        let first = &pooled[..notebook.pooler_output_first.len()];
        let mut difference = largest_difference(first, &notebook.pooler_output_first)?;
        for (row, expected) in &notebook.last_hidden_state_corners {
            let Ok(row) = row.parse::<usize>() else {
                continue;
            };
            let expected: Vec<f32> =
                serde_json::from_value(expected.clone()).kind(Kind::Internal)?;
            let row = &states[row * self.config.hidden_size..][..self.config.hidden_size];
            let corners = [&row[..3], &row[row.len() - 3..]].concat();
            difference = difference.max(largest_difference(&corners, &expected)?);
        }
        let figures =
            format!("largest difference {difference:.1e} (allowed {NOTEBOOK_TOLERANCE:.0e})");
        let passed = difference <= NOTEBOOK_TOLERANCE;
        Ok(Verdict::of(passed, figures))
    }
}

/// The smallest allowed cosine between a token's vector in `dtype` and in f32. Trained weights give
/// more (`ops/cpu/linear/integers/mod.rs`), but the checkpoint may be any; a wrong formula gives
/// far less.
fn least_cosine(dtype: Precision) -> Option<f64> {
    match dtype {
        Precision::F32 => None,
        Precision::F16 | Precision::Int16 => Some(0.9999),
        Precision::Bf16 | Precision::Int8 => Some(0.99),
    }
}

fn cosine(one: &[f32], other: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
        products.sum()
    };
    dot(one, other) / (dot(one, one) * dot(other, other)).sqrt()
}

fn numbers(output: OutputTensor) -> Result<Vec<f32>> {
    output.into_host()
}

/// The largest absolute difference; NaN if any is NaN.
fn largest_difference(one: &[f32], other: &[f32]) -> Result<f32> {
    if one.len() != other.len() {
        let message = format!("got {} values, expected {}", one.len(), other.len());
        return Err(Error::message(Kind::Internal, message));
    }
    let differences = one
        .iter()
        .zip(other)
        .map(|(one, other)| (one - other).abs());
    Ok(differences.fold(0.0, |largest, next| {
        if next > largest || next.is_nan() {
            next
        } else {
            largest
        }
    }))
}
