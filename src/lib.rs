//! Text → BERT's vectors: the library beside the command `bert-embed`.
//!
//! # The way of a text
//! 1. [`cli`] says what was typed; [`run`] opens every room and shuts it again.
//! 2. [`checkpoint`] finds the model's directory (given, cached or downloaded), reads its
//!    configuration and maps its tensors; [`request`] says what the arguments mean for it.
//! 3. [`input`] yields texts; [`tokenize`] makes them `[CLS] a [SEP]`; [`batch`] packs them.
//! 4. [`model`] runs embeddings, layers and pooler by the operations of [`ops`] on a [`device`].
//! 5. [`stitch`] joins the windows of a long text; [`pooling`] makes one vector of many where asked,
//!    of a text's or of each of its [`words`]; [`writer`] makes records of the numbers; [`output`]
//!    prints them.
//! 6. [`pipeline`] is the three threads between 3 and 5, [`encode`] what the middle one does;
//!    [`read_ahead`] feeds it in bounded memory,
//!    [`progress`] shows how far it is and [`stop`] ends it early.
//! 7. An interrupted run goes on by [`resume`], which refuses other settings, and [`skip`], which
//!    passes over the texts that [`tally`] has counted.
//!
//! [`dry_run`] goes as far as 3 and counts; [`self_test`] checks the installation against a second
//! implementation, and [`error`] says what went wrong with the exit code that scripts rely on.
//!
//! # Example
//! ```no_run
//! use bert_embed::cli::Arguments;
//! use clap::Parser;
//!
//! let arguments = Arguments::parse_from(["bert-embed", "-m", "model", "a sentence"]);
//! bert_embed::run::run(&arguments)?;
//! # Ok::<(), bert_embed::error::Error>(())
//! ```

pub mod batch;
pub mod checkpoint;
pub mod cli;
pub mod device;
pub mod dry_run;
pub mod encode;
pub mod error;
pub mod input;
pub mod model;
pub mod ops;
pub mod output;
pub mod pipeline;
pub mod pooling;
pub mod progress;
pub mod read_ahead;
pub mod request;
pub mod resume;
pub mod run;
pub mod self_test;
pub mod skip;
pub mod stitch;
pub mod stop;
pub mod tally;
pub mod tokenize;
pub mod words;
pub mod writer;
