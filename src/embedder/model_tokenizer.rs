//! [`ModelTokenizer`]: token ids without the encoder.

use std::sync::Arc;

use super::embedded::Embedded;
use super::shared::{Shared, request};
use crate::app::load::{load_tokenizer, locate};
use crate::error::Result;
use crate::input::Text;
use crate::options::Options;
use crate::pipeline;
use crate::record::RunCounts;
use crate::threads::Threads;
use crate::vectors::VectorOptions;

/// A model's tokenizer with the options of the command, without the model's weights.
pub struct ModelTokenizer(Arc<Shared>);

impl ModelTokenizer {
    pub(super) fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// Loads the tokenizer of `model`, a directory or a hub id. The weights are neither read nor
    /// downloaded.
    ///
    /// # Errors
    /// As [`Embedder::load`](crate::Embedder::load).
    pub fn load(model: &str, options: &Options) -> Result<Self> {
        options.check()?;
        let threads = Threads::start(options.threads)?;
        let (snapshot, config) = locate(model, options, false)?;
        let request = request(options, &config, &snapshot.root, usize::MAX)?;
        let (tokenizer, prompt_tokens) = load_tokenizer(&request, &snapshot, &config)?;
        Ok(Self::new(Shared {
            fields: request.options.fields.clone(),
            vectors: VectorOptions {
                prompt_tokens,
                ..request.vectors.clone()
            },
            request,
            tokenizer,
            threads,
            nothing_done: RunCounts::default(),
        }))
    }

    /// The tokens of each text, in order, as records without vectors.
    ///
    /// # Errors
    /// The tokenizer fails.
    ///
    /// # Example
    /// ```
    /// use bert_embed::{ModelTokenizer, Options};
    ///
    /// let tokenizer = ModelTokenizer::load("tests/fixtures/sample", &Options::default())?;
    /// let records = tokenizer.tokenize(["the old stone bridge"])?;
    /// assert_eq!(records[0].tokens().len(), records[0].input_ids().len());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tokenize<T: Into<Text>>(
        &self,
        texts: impl IntoIterator<Item = T>,
    ) -> Result<Vec<Embedded>> {
        let texts = texts.into_iter().map(Into::into);
        let tokenized = pipeline::tokenize(texts, self.0.plan())?.into_iter();
        let record = |text| Embedded::tokenized(&self.0, text);
        Ok(tokenized.map(record).collect())
    }
}
