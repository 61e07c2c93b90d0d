//! What the records of a model share with it.

use std::path::Path;

use crate::app::request::Request;
use crate::checkpoint::Config;
use crate::error::Result;
use crate::options::Options;
use crate::output::OutputFormat;
use crate::pipeline::Plan;
use crate::record::{Field, RunCounts};
use crate::threads::Threads;
use crate::tokenize::Tokenizer;
use crate::vectors::VectorOptions;

pub(super) struct Shared {
    pub(super) request: Request,
    pub(super) tokenizer: Tokenizer,
    pub(super) fields: Vec<Field>,
    pub(super) vectors: VectorOptions,
    pub(super) threads: Threads,
    pub(super) nothing_done: RunCounts,
}

impl Shared {
    pub(super) fn plan(&self) -> Plan<'_> {
        let tokenizer = (&self.tokenizer, self.vectors.prompt_tokens);
        self.request
            .plan(tokenizer, &self.threads, &self.nothing_done)
    }
}

/// What `options` mean for a model; records are as the command prints them.
pub(super) fn request(
    options: &Options,
    config: &Config,
    directory: &Path,
    batch_tokens: usize,
) -> Result<Request> {
    let format = OutputFormat::Jsonl;
    let fields = options.record_fields(format, false);
    Request::new(options, (format, fields), config, directory, batch_tokens)
}
