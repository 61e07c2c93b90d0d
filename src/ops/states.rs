//! The vectors of a batch's tokens, laid out as their device computes them.
//!
//! Owns the layout: panels on the CPU (`cpu/panel.rs`), rows elsewhere. The model hands them from
//! one operation to the next; only what leaves the encoder becomes rows.

use candle_core::{Result, Tensor, bail};

use super::cpu::{self, Panels, SharedOut};
use super::cuda;
use super::host::HostOp;

/// One vector a token.
///
/// # Shapes
/// `[tokens, features]`, in an order of the device's own.
#[derive(Debug, Clone)]
pub struct States {
    tensor: Tensor,
    tokens: usize,
    /// What is still to be added to each row, on a GPU: the operation that comes next does so while
    /// it reads. `[features]`
    bias: Option<Tensor>,
}

impl States {
    /// `tensor` must be as this device has them.
    pub(super) fn new(tensor: Tensor, tokens: usize) -> Self {
        Self {
            tensor,
            tokens,
            bias: None,
        }
    }

    /// `tensor` to which `bias` is still to be added.
    pub(super) fn with_bias(tensor: Tensor, bias: Tensor, tokens: usize) -> Self {
        Self {
            tensor,
            tokens,
            bias: Some(bias),
        }
    }

    /// What is to be added to each row.
    pub(super) fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// The rows of a GPU, to which nothing is to be added any more.
    pub(super) fn finished(&self) -> Result<&Tensor> {
        if self.bias.is_some() {
            bail!("these vectors are not finished: a bias is still to be added");
        }
        Ok(&self.tensor)
    }

    pub(super) fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// Tokens and features.
    pub(super) fn panels(&self) -> Result<Panels> {
        let features = self.tensor.dim(1)?;
        Ok(Panels {
            tokens: self.tokens,
            features,
        })
    }

    /// The vectors as rows, in f32.
    ///
    /// # Shapes
    /// `[tokens, features]`, token after token.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn rows(&self) -> Result<Tensor> {
        if !self.tensor.device().is_cpu() {
            return cuda::widen(self.finished()?);
        }
        let panels = self.panels()?;
        let Panels { tokens, features } = panels;
        let kernel = |x: &[f32], out: SharedOut| cpu::rows(x, panels, out);
        // SAFETY: the kernel writes every row.
        let op = unsafe { HostOp::new("rows", tokens * features, kernel) };
        op.apply(&self.tensor, (tokens, features))
    }

    /// The vectors of some tokens, in the order of `tokens`.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn select(&self, tokens: &[usize]) -> Result<Self> {
        if !self.tensor.device().is_cpu() {
            let selected = cuda::select(self.finished()?, tokens)?;
            return Ok(Self::new(selected, tokens.len()));
        }
        let from = self.panels()?;
        let to = Panels {
            tokens: tokens.len(),
            ..from
        };
        let kernel = |x: &[f32], out: SharedOut| cpu::select(x, from, tokens, out);
        // SAFETY: the kernel writes every panel, zero where there is no token.
        let op = unsafe { HostOp::new("select", to.size(), kernel) };
        Ok(Self::new(op.apply(&self.tensor, to.shape())?, to.tokens))
    }
}

impl Panels {
    /// As candle has them: a row for each lane.
    pub(super) fn shape(self) -> (usize, usize) {
        (self.size() / self.features, self.features)
    }
}
