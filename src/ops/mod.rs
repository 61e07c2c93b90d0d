//! The operations of the encoder, for every kind of device.
//!
//! `Backend` lists them; `cpu` and `candle` implement it. The model is generic over the backend, so
//! the device is chosen once, when the weights are loaded. The tokens of a batch follow each other
//! without padding; only `candle` pads them, for attention.

mod activation;
mod attention_bias;
mod backend;
mod candle;
mod cpu;
pub mod device;
mod failure;
mod output;
mod precision;
mod sequence;

pub(crate) use activation::Activation;
pub(crate) use attention_bias::AttentionBias;
pub(crate) use backend::{Backend, LinearRole, NormTensors, Projection};
pub(crate) use candle::Candle;
pub(crate) use cpu::Cpu;
pub(crate) use cpu::Level;
pub(crate) use failure::OutOfMemory;
pub use output::OutputTensor;
pub use precision::Precision;
pub(crate) use sequence::Sequence;
