//! The kernels of the CPU: plain slices in, plain slices out, no allocation that outlives a call.
//!
//! Owns the arithmetic on lanes and its dispatch at run time. Leaves tensors to `ops/`.

#![allow(
    clippy::inline_always,
    reason = "a body takes on a level's target features only where it is inlined into that level"
)]
#![allow(
    clippy::similar_names,
    clippy::many_single_char_names,
    reason = "the names of the formulas: a, b, x"
)]

mod attention;
mod embeddings;
mod layer_norm;
mod linear;
mod math;
mod scratch;
mod simd;
mod threads;
mod tile;

pub use attention::Sequence;
pub(crate) use attention::attention;
pub(crate) use embeddings::{Ids, Tables, embeddings};
pub(crate) use layer_norm::{Norm, add_layer_norm};
pub(crate) use linear::{Projection, linear};
pub use math::Activation;
pub use simd::Level;

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
