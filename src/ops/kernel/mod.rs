//! The kernels of the CPU: plain slices in, plain slices out.
//!
//! Owns the arithmetic on lanes and its dispatch at run time to AVX-512, AVX2 with FMA, or the
//! baseline. Leaves tensors to `ops/`.

#![allow(
    clippy::inline_always,
    reason = "a function takes on its caller's target features only where it is inlined"
)]

mod attention;
mod embeddings;
mod layer_norm;
mod linear;
mod math;
mod panel;
mod rows;
mod scratch;
mod simd;
mod threads;
mod tile;

pub use attention::Sequence;
pub(crate) use attention::attention;
pub(crate) use embeddings::{Ids, Tables, embeddings};
pub(crate) use layer_norm::{Norm, add_layer_norm};
pub(crate) use linear::{Projection, Weight, linear};
pub use math::Activation;
pub(crate) use panel::Panels;
pub(crate) use rows::{rows, select};
pub use simd::Level;
pub(crate) use threads::SharedOut;

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
