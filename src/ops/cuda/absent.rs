//! What stands for `ops::cuda` in a build without CUDA: no device leads here.

use candle_core::{Error, Result, Tensor};

use super::{Activation, Sequence};

pub(super) const MAX_HIDDEN: usize = 0;
pub(super) const MAX_HEAD_DIM: usize = 0;

/// See `cuda/mod.rs`.
#[derive(Clone, Copy)]
pub(super) struct Norm<'a> {
    pub(super) gamma: &'a Tensor,
    pub(super) beta: &'a Tensor,
    pub(super) eps: f32,
}

/// See `cuda/tiles.rs`; there is none.
pub(super) enum Tiles {}

impl Tiles {
    pub(super) fn upload(_: &[Sequence], _: usize, _: &Tensor) -> Result<Self> {
        absent()
    }
}

/// See `cuda/download.rs`; there is none.
pub(super) enum Download {}

impl Download {
    pub(super) fn start(_: &Tensor) -> Result<Self> {
        absent()
    }

    pub(super) fn finish(self) -> Result<Vec<f32>> {
        match self {}
    }
}

pub(super) fn bias_activation(_: &Tensor, _: &Tensor, _: Activation) -> Result<()> {
    absent()
}

pub(super) fn add_layer_norm(
    _: &Tensor,
    _: Option<&Tensor>,
    _: &Tensor,
    norm: Norm,
) -> Result<Tensor> {
    let Norm { gamma, beta, eps } = norm;
    let _ = (gamma, beta, eps);
    absent()
}

pub(super) fn embeddings(_: [&Tensor; 3], _: [&[u32]; 3], _: Norm) -> Result<Tensor> {
    absent()
}

pub(super) fn attention(_: &Tensor, _: Option<&Tensor>, _: &Tiles, _: usize) -> Result<Tensor> {
    absent()
}

pub(super) fn select(_: &Tensor, _: &[usize]) -> Result<Tensor> {
    absent()
}

pub(super) fn widen(_: &Tensor) -> Result<Tensor> {
    absent()
}

pub(super) fn is_out_of_memory(_: &Error) -> bool {
    false
}

pub(super) fn cuda_says(_: &Error) -> Option<String> {
    None
}

fn absent<T>() -> Result<T> {
    Err(Error::Msg("this build has no CUDA".to_owned()))
}
