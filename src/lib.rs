//! Text → BERT's vectors: the library beside the command `bert-embed`.
//!
//! # The way of a text
//! 1. [`cli`] says what was typed; [`app`] does what one run does with it.
//! 2. [`hub`] finds the model's directory (given, cached or downloaded); [`checkpoint`] reads its
//!    configuration and maps its tensors.
//! 3. [`input`] yields texts; [`tokenize`] turns them into `[CLS] a [SEP]`.
//! 4. [`model`] runs embeddings, layers and pooler with the operations of [`ops`].
//! 5. [`vectors`] pools, merges and stitches; [`mod@record`] names the fields of one text;
//!    [`output`] writes them.
//! 6. [`pipeline`] is the threads between 3 and 5.
//!
//! [`error`] says what went wrong, with the exit code that scripts rely on.
//!
//! # Example
//! ```no_run
//! use bert_embed::cli::Arguments;
//! use clap::Parser;
//!
//! let arguments = Arguments::parse_from(["bert-embed", "-m", "model", "a sentence"]);
//! bert_embed::app::run(&arguments)?;
//! # Ok::<(), bert_embed::error::Error>(())
//! ```

pub mod app;
pub mod checkpoint;
pub mod cli;
pub mod error;
mod hex;
pub mod hub;
pub mod input;
pub mod model;
pub mod notes;
pub mod ops;
pub mod output;
pub mod pipeline;
pub mod record;
pub mod standard_streams;
mod table;
pub mod tokenize;
pub mod vectors;
