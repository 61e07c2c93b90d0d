//! What the candle ops of this room share: parameters on the host, one op around a kernel.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use crate::checkpoint::TensorView;

/// A parameter on the host: f32 where the checkpoint has it, or converted from half precision.
pub(super) enum Parameter {
    /// The checkpoint's own bytes.
    Mapped(TensorView),
    /// What they mean in f32.
    Converted(Vec<f32>),
}

impl Parameter {
    pub(super) fn load(view: &TensorView) -> Self {
        match view.as_f32() {
            Some(_) => Self::Mapped(view.clone()),
            None => Self::Converted(view.to_f32()),
        }
    }

    /// The numbers in the order of the checkpoint.
    pub(super) fn values(&self) -> &[f32] {
        match self {
            // Mapped parameters are f32, see `load`.
            Self::Mapped(view) => view.as_f32().unwrap_or_default(),
            Self::Converted(values) => values,
        }
    }
}

/// A kernel from the numbers of one contiguous tensor to those of another.
pub(super) struct HostOp<F> {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// Fills the output, given zeroed.
    pub(super) kernel: F,
}

impl<F: Fn(&[f32], &mut [f32])> HostOp<F> {
    pub(super) fn apply(self, input: &Tensor) -> Result<Tensor>
    where
        F: Send + Sync,
    {
        input.apply_op1_no_bwd(&self)
    }
}

impl<F: Fn(&[f32], &mut [f32])> CustomOp1 for HostOp<F> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut out = vec![0.0; self.shape.elem_count()];
        (self.kernel)(contiguous(self.name, storage, layout)?, &mut out);
        Ok((CpuStorage::F32(out), self.shape.clone()))
    }
}

/// The numbers of a tensor whose rows lie end to end.
pub(super) fn contiguous<'a>(
    name: &str,
    storage: &'a CpuStorage,
    layout: &Layout,
) -> Result<&'a [f32]> {
    let CpuStorage::F32(values) = storage else {
        bail!("{name} takes f32")
    };
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&values[start..end]),
        None => bail!("{name} takes contiguous tensors"),
    }
}
