//! The CPU: its kernels take plain slices and write plain slices; `backend.rs` calls them.
//!
//! The kernels are written once over lanes and run on AVX-512, AVX2 with FMA, or the baseline,
//! whichever the machine has.
//!
//! What decided the design:
//! - Lanes run along tokens, never along k. A sum then has one order, k upwards in blocks from
//!   zero, for every number of tokens and threads: same text, same bits. And weights are read in
//!   place from the file, one value broadcast to all lanes, without a transposed copy.
//! - The tile is 12 outputs by 2 registers of tokens: 24 sums, 2 registers of tokens and a
//!   broadcast fill AVX-512's 32, and 14 loads feed 24 multiply-adds. With AVX2's 16 registers it
//!   is 6 by 2.
//! - Vectors stay in panels between operations (`panel.rs`). As rows they cost a quarter of the
//!   multiplication's time: stores to cache lines pages apart, each of them fetched first.
//! - Outputs start on a cache line: registers that straddle two cost 6 % of the multiplication.
//! - Sums over k start from zero every 128 values: shorter sums err less, and 128 take at most 1 %
//!   more time than 256.
//! - For one text of 16 tokens a broadcast feeds one multiply-add instead of two. This bounds the
//!   speed as much as reading the weights does: weights of half the bytes gain 5 % at most.
//!
//! The shares were measured on two cores of a Sapphire Rapids Xeon with the operations called one
//! by one; whole forwards are compared by `tests/bench/run`.

#![allow(
    clippy::inline_always,
    reason = "a function takes on its caller's target features only if it is inlined"
)]
#![allow(
    clippy::needless_range_loop,
    reason = "iterators pass closures, which lose the target features, and registers through memory"
)]

mod attention;
mod backend;
mod buffer;
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
mod weights;

use attention::{
    AttentionInput, AttentionSequences, Heads, PanelSlice, QueryTokens, attention, attention_probs,
};
pub(crate) use backend::Cpu;
use embeddings::embeddings;
use layer_norm::{NormParameters, add_layer_norm};
use linear::linear;
use panel::PanelLayout;
use rows::{rows, select};
pub(crate) use simd::Level;
use threads::SharedOut;

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
