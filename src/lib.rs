//! Text → BERT's vectors: the library beside the command `bert-embed`.
//!
//! [`Embedder`] loads a model and turns texts into the records that the command prints. The other
//! modules are the command's own and may change with any version.
//!
//! # The way of a text
//! `src` has a room for each part of the work, and each room uses only those below it
//! (`tests/end_to_end/library/arrows.rs` checks every `use`):
//!
//! | room | its work |
//! | --- | --- |
//! | `main.rs`, `cli/`, `app/` | what was typed, and what one run does with it |
//! | `options.rs` | what the command and the library compute |
//! | `pipeline/` | the threads read, tokenize, encode, write; `types.rs` has what they pass on |
//! | `input/` | texts from arguments, files and standard input |
//! | `tokenize/` | a text as `[CLS] a [SEP]`, in windows if it is long |
//! | `model/` | embeddings, layers and pooler, as the paper has them |
//! | `ops/` | the operations of the model, on the CPU and on GPUs |
//! | `hub/`, `checkpoint/` | a model's directory, local or downloaded; its files and config |
//! | `weights/` | the tensors in its weight files, by name |
//! | `vectors/` | pooling, merging and stitching of rows |
//! | `record/`, `output/` | the fields of one text, and the formats that they are written in |
//! | `error.rs`, `notes.rs` | every exit code, errors and warnings in the user's words |
//!
//! `embedder.rs` is this library's own entry, beside `app/`. Small helpers that any room may use
//! stand beside the rooms: `table.rs`, `guard.rs` (panics of other crates become errors), `hex.rs`,
//! `standard_streams.rs`; `allocator.rs` is the command's.
//!
//! # Where to add
//! The compiler names what is missing: tables and matches have no default case.
//!
//! - **an output field**: its row in `record/field.rs`, its value in `record/record.rs`, and what
//!   computes it in `app/request.rs`. If the encoder must compute it: `model/mod.rs`, and
//!   `pipeline/stitch.rs` to bring it to the record.
//! - **an output format**: its row in `output/format.rs`, a file beside `output/jsonl.rs`, its
//!   place in `output/mod.rs` and `output/size.rs`.
//! - **a model type**: `checkpoint/model_type.rs` has its keys and defaults, `weights/names.rs` the
//!   names of its tensors, `tokenize/class.rs` its tokenizer classes; `model/` computes it.
//! - **a weight type**: `weights/tensor_view.rs` reads it, `ops/precision.rs` names it for
//!   `--dtype`, `ops/cpu/weights.rs` computes with it.

#[doc(hidden)]
pub mod app;
#[doc(hidden)]
pub mod checkpoint;
#[doc(hidden)]
pub mod cli;
mod embedder;
pub mod error;
mod guard;
mod hex;
#[doc(hidden)]
pub mod hub;
mod input;
#[doc(hidden)]
pub mod model;
mod notes;
#[doc(hidden)]
pub mod ops;
mod options;
mod output;
mod pipeline;
mod record;
pub mod standard_streams;
mod table;
#[doc(hidden)]
pub mod tokenize;
mod vectors;
#[doc(hidden)]
pub mod weights;

pub use embedder::{Embedded, Embedder};
pub use input::{Segment, Text};
pub use ops::Precision;
pub use ops::device::DeviceChoice;
pub use options::Options;
pub use record::Field;
pub use tokenize::{OnLong, Padding};
pub use vectors::{LayerMerge, Pooling, PoolingMode};
