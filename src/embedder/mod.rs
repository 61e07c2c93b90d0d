//! [`Embedder`], the library's API: a model that is loaded once and turns texts into records.

mod embedded;
mod model_tokenizer;
mod shared;

use std::iter;

use crate::app::load::{load, locate};
use crate::error::Result;
use crate::input::Text;
use crate::model::{BertModel, Output};
use crate::notes;
use crate::ops::device;
use crate::options::Options;
use crate::pipeline::{OnDemand, ThreadedModel};
use crate::record::RunCounts;
use crate::threads::Threads;
use crate::weights::WeightGuard;
pub use embedded::Embedded;
pub use model_tokenizer::ModelTokenizer;
use shared::{Shared, request};

/// A BERT model that turns texts into the records that the command prints.
///
/// It can be shared between threads. Each `Embedder` has its own pool of threads, so several with
/// different [`Options::threads`] can exist side by side.
///
/// # Example
/// ```
/// use bert_embed::{Embedder, Options, Pooling};
///
/// let options = Options {
///     pooling: Some(Pooling::Mean),
///     ..Options::default()
/// };
/// let embedder = Embedder::load("tests/fixtures/sample", &options)?;
/// let records = embedder.embed(["the old stone bridge", "winter"])?;
///
/// assert_eq!(records[0].embedding().map(<[f32]>::len), Some(24));
/// assert_eq!(records[1].tokens(), ["[CLS]", "winter", "[SEP]"]);
/// assert_eq!(records[1].last_hidden_state().map(<[f32]>::len), Some(3 * 24));
/// let json = serde_json::to_string(&records[1])?; // a line of the command's output
/// assert!(json.starts_with(r#"{"index":1,"tokens":["[CLS]","winter","[SEP]"],"input_ids":["#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Embedder {
    tokenizer: ModelTokenizer,
    model: BertModel,
    weights: WeightGuard,
    warnings: Vec<String>,
}

impl Embedder {
    /// Loads `model`, a directory or a hub id. A model that is not in the cache is downloaded.
    ///
    /// # Errors
    /// The same as the command: a [`Kind`](crate::error::Kind) for options that contradict each
    /// other, for the model's files, the hub and the device.
    pub fn load(model: &str, options: &Options) -> Result<Self> {
        options.check()?;
        let threads = Threads::start(options.threads)?;
        let (loaded, warnings) = notes::collected(|| {
            let device = options.open_device()?;
            let (snapshot, config) = locate(model, options, true)?;
            let batch_tokens = device::batch_tokens(&device);
            let request = request(options, &config, &snapshot.root, batch_tokens)?;
            let loaded = load(&request, (&snapshot, &config), &device, &threads)?;
            if request.outputs.contains(&Output::PoolerOutput) && !loaded.model.has_pooler() {
                notes::warning("the checkpoint has no pooler: pooler_output is null");
            }
            Ok((request, loaded))
        });
        let (request, loaded) = loaded?;
        Ok(Self {
            tokenizer: ModelTokenizer::new(Shared {
                request,
                tokenizer: loaded.tokenizer,
                fields: loaded.fields,
                vectors: loaded.vectors,
                threads,
                nothing_done: RunCounts::default(),
            }),
            model: loaded.model,
            weights: loaded.weights,
            warnings,
        })
    }

    /// What the command would have printed as warnings and notes while it loaded the model, for
    /// example that the checkpoint has no pooler.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The model's tokenizer, with the options of this `Embedder`.
    #[must_use]
    pub fn tokenizer(&self) -> &ModelTokenizer {
        &self.tokenizer
    }

    /// The record of each text, in order, when all are finished. A text that cannot be embedded has
    /// an [`error`](Embedded::error) in its place.
    ///
    /// # Errors
    /// The device fails, or the model's files have changed since they were loaded.
    pub fn embed<T: Into<Text>>(
        &self,
        texts: impl IntoIterator<Item = T>,
    ) -> Result<Vec<Embedded>> {
        self.stream(texts).collect()
    }

    /// The record of each text, in order, as they are finished. Memory does not grow with the
    /// number of texts, except with [`Padding::Longest`](crate::Padding::Longest), which needs them
    /// all before the first record.
    ///
    /// The texts are read some hundreds at a time when a record is needed; the work is done while
    /// the caller waits for the next record. After an error there are no more records.
    ///
    /// # Errors
    /// The device fails, or the model's files have changed since they were loaded.
    ///
    /// # Example
    /// ```
    /// use bert_embed::{Embedder, Options};
    ///
    /// let embedder = Embedder::load("tests/fixtures/sample", &Options::default())?;
    /// let lines = std::io::Cursor::new("the river\nthe bridge\n");
    /// let lines = std::io::BufRead::lines(lines).map_while(Result::ok);
    /// for record in embedder.stream(lines) {
    ///     let record = record?;
    ///     println!("{} has {} tokens", record.index(), record.input_ids().len());
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stream<T: Into<Text>>(
        &self,
        texts: impl IntoIterator<Item = T>,
    ) -> impl Iterator<Item = Result<Embedded>> {
        let shared = self.tokenizer.shared();
        let forward = ThreadedModel {
            model: &self.model,
            outputs: &shared.request.outputs,
            threads: &shared.threads,
        };
        let texts = texts.into_iter().map(Into::into);
        let mut on_demand = OnDemand::new(texts, forward, shared.plan(), &shared.vectors);
        let mut ready = Vec::new().into_iter();
        let mut has_ended = false;
        iter::from_fn(move || {
            loop {
                if let Some(record) = ready.next() {
                    return Some(Ok(Embedded::new(shared, record)));
                }
                if has_ended {
                    return None;
                }
                let next = on_demand.next_records();
                match next.and_then(|records| self.weights.check().map(|()| records)) {
                    Ok(Some(records)) => ready = records.into_iter(),
                    Ok(None) => has_ended = true,
                    Err(error) => {
                        has_ended = true;
                        return Some(Err(error));
                    }
                }
            }
        })
    }
}
