//! Text → the vectors of BERT and its kin, with the same values as Hugging Face transformers.
//!
//! [`Embedder`] loads a model and turns texts into [`Embedded`] records; [`ModelTokenizer`] gives
//! token ids without loading weights. [`Options`] has the options of the command `bert-embed`, with
//! the same names and defaults. The library prints nothing: what the command warns about is in the
//! record or in [`Embedder::warnings`].
//!
//! # Optimization
//! Without optimization the kernels are about 40 times slower. A program that depends on this crate
//! should optimize its dependencies in debug builds too:
//!
//! ```toml
//! [profile.dev.package."*"]
//! opt-level = 3
//! ```
//!
//! # For contributors
//! `cargo doc --lib --no-deps --document-private-items --open` shows every module. `src` has one
//! room for each part of the work, and a room uses only those below it (a test,
//! `tests/end_to_end/library/arrows.rs`, checks every `use`):
//!
//! | room | what it does |
//! | --- | --- |
//! | `main.rs`, `cli/`, `app/` | reads the command line and does one run |
//! | `embedder/` | the library's entry, on the same level as `app/` |
//! | `options.rs`, `options/` | the options that the command and the library share |
//! | `pipeline/` | the threads read, tokenize, encode and write; see `pipeline/types.rs` |
//! | `input/` | texts from arguments, files and standard input |
//! | `tokenize/` | a text as `[CLS] a [SEP]`, in windows if it is long |
//! | `model/` | embeddings, layers and pooler, as in the paper |
//! | `ops/` | the operations of the model, on the CPU and on GPUs |
//! | `hub/`, `checkpoint/` | a model's directory, local or downloaded; its files and config |
//! | `weights/` | the tensors in its weight files, by name |
//! | `vectors/` | pools, merges and joins rows |
//! | `record/`, `output/` | the fields of one text, and the formats they are written in |
//!
//! Files that any room may use: `error.rs` (kinds, exit codes and the form of messages),
//! `notes.rs` (warnings), `threads.rs` (the pool), `table.rs`, `guard.rs` (turns panics of other
//! crates into errors), `hex.rs` and `standard_streams.rs`. `internals.rs` is
//! what the tests and the benchmark may use. `allocator.rs` belongs to the command,
//! `build.rs` to the build.
//!
//! # Where to add
//! Tables and matches have no default case, so the compiler names what is missing.
//!
//! - **an output field**: a row in `record/field.rs`, its value in `record/record.rs`, what
//!   computes it in `app/request.rs`, an accessor in `embedder/embedded.rs`. If the encoder must
//!   compute it: also `model/output.rs` and `model/encoder.rs`.
//! - **an output format**: a row in `output/format.rs`, a file next to `output/jsonl.rs`, its place
//!   in `output/mod.rs` and `output/size.rs`.
//! - **a model type** of the same block: its name in `checkpoint/model_type.rs`, what sets it apart
//!   in `checkpoint/model_facts.rs`, its tokenizer class in `tokenize/class.rs`, what
//!   `--self-test` compares it with in `app/self_test/stock.rs`, a row in README.md.
//! - **a weight type**: `weights/tensor_view.rs` reads it, `ops/precision.rs` names it for
//!   `--dtype`, `ops/cpu/weights.rs` computes with it.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod app;
mod checkpoint;
mod cli;
mod embedder;
pub mod error;
mod guard;
mod hex;
#[allow(missing_docs, reason = "only `internals` shows what it has")]
mod hub;
mod input;
#[doc(hidden)]
pub mod internals;
#[allow(missing_docs, reason = "only `internals` shows what it has")]
mod model;
mod notes;
mod ops;
mod options;
mod output;
mod pipeline;
mod record;
mod standard_streams;
mod table;
mod threads;
mod tokenize;
mod vectors;
#[allow(missing_docs, reason = "only `internals` shows what it has")]
mod weights;

pub use embedder::{Embedded, Embedder, ModelTokenizer};
pub use error::{Error, Kind};
pub use input::{Segment, Text};
pub use ops::Precision;
pub use ops::device::DeviceChoice;
pub use options::{LayerRange, Options};
pub use record::{Field, Word};
pub use tokenize::{OnLong, Padding, WordSpan};
pub use vectors::{LayerMerge, Pooling, PoolingMode};
