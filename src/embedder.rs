//! [`Embedder`], the library's public API: a model that is loaded once and turns texts into
//! records.

use serde::{Serialize, Serializer};

use crate::app::load::{LoadedModel, load, locate};
use crate::app::request::Request;
use crate::error::Result;
use crate::input::Text;
use crate::model::Output;
use crate::ops::device;
use crate::options::Options;
use crate::output::OutputFormat;
use crate::pipeline;
use crate::record::{RecordOrBad, RunCounts};

/// A BERT model that turns texts into the records that the command prints.
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
    request: Request,
    loaded: LoadedModel,
}

/// One text with its vectors, or why it has none; serialized, it is a line of the command's output.
pub struct Embedded<'a> {
    embedder: &'a Embedder,
    record: RecordOrBad,
}

impl Embedder {
    /// Loads `model`, a directory or a hub id; a model that is not in the cache is downloaded.
    ///
    /// # Errors
    /// Those of the command: a [`Kind`](crate::error::Kind) for options that contradict each other,
    /// for the model's files, the hub and the device.
    pub fn load(model: &str, options: &Options) -> Result<Self> {
        options.check()?;
        if options.threads.is_some() {
            device::set_threads(options.threads)?;
        }
        let device = options.open_device()?;
        let (snapshot, config) = locate(model, options, true)?;
        let batch_tokens = device::batch_tokens(&device);
        let jsonl = OutputFormat::Jsonl;
        let form = (jsonl, options.record_fields(jsonl, false));
        let request = Request::new(options, form, &config, &snapshot.root, batch_tokens)?;
        let loaded = load(&request, (&snapshot, &config), &device)?;
        Ok(Self { request, loaded })
    }

    /// The record of each text, in order. A text that cannot be embedded has an
    /// [`error`](Embedded::error) in its place.
    ///
    /// # Errors
    /// The device fails, or the model's files have changed since they were loaded.
    pub fn embed<T: Into<Text>>(
        &self,
        texts: impl IntoIterator<Item = T>,
    ) -> Result<Vec<Embedded<'_>>> {
        let (request, loaded) = (&self.request, &self.loaded);
        let nothing_done = RunCounts::default();
        let tokenizer = (&loaded.tokenizer, loaded.vectors.prompt_tokens);
        let plan = request.plan(tokenizer, &nothing_done);
        let texts = texts.into_iter().map(Into::into);
        let (model, vectors) = (&loaded.model, &loaded.vectors);
        let records = pipeline::embed_all(model, &request.outputs, plan, vectors, texts)?;
        loaded.weights.check()?;
        let embedded = records.into_iter().map(|record| Embedded {
            embedder: self,
            record,
        });
        Ok(embedded.collect())
    }
}

impl Embedded<'_> {
    /// Why the text has no vectors, if it has none.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.record.as_ref().err().map(|bad| bad.message.as_str())
    }

    /// The word pieces.
    #[must_use]
    pub fn tokens(&self) -> Vec<String> {
        let ids = self.input_ids().iter();
        ids.map(|&id| self.embedder.loaded.tokenizer.token(id))
            .collect()
    }

    /// The numbers of the word pieces in the vocabulary.
    #[must_use]
    pub fn input_ids(&self) -> &[u32] {
        let record = self.record.as_ref().ok();
        record.map_or(&[], |record| &record.encoding().input_ids)
    }

    /// `[hidden]` or fewer, as `pooling` and the options with it ask for.
    #[must_use]
    pub fn embedding(&self) -> Option<&[f32]> {
        let embedding = &self.record.as_ref().ok()?.embedding;
        Some(&embedding[..]).filter(|embedding| !embedding.is_empty())
    }

    /// `[tokens × hidden]`, token after token; `None` if the field is not asked for.
    #[must_use]
    pub fn last_hidden_state(&self) -> Option<&[f32]> {
        self.output(Output::LastHiddenState)
    }

    /// `[hidden]`; `None` if the field is not asked for, or if the model has no pooler.
    #[must_use]
    pub fn pooler_output(&self) -> Option<&[f32]> {
        self.output(Output::PoolerOutput)
    }

    fn output(&self, output: Output) -> Option<&[f32]> {
        let values = self.record.as_ref().ok()?.outputs.get(output)?;
        Some(&values[..])
    }
}

impl Serialize for Embedded<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let loaded = &self.embedder.loaded;
        match &self.record {
            Ok(record) => record
                .selected(&loaded.fields, &loaded.tokenizer)
                .serialize(serializer),
            Err(bad) => bad.serialize(serializer),
        }
    }
}
