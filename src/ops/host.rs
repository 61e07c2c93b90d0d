//! What the candle ops of this room share: parameters on the host, one op around a kernel.

use std::mem::MaybeUninit;
use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, bail};

use super::cpu::SharedOut;
use crate::checkpoint::TensorView;

/// f32 values in a cache line: what a kernel writes begins with one, for a register that lies in two
/// takes the time of two.
const LINE: usize = 16;

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

/// A kernel from the numbers of one or two contiguous tensors to those of another.
pub(super) struct HostOp<F> {
    name: &'static str,
    /// Values of the output.
    size: usize,
    kernel: F,
    /// Where in what was allocated the output begins.
    start: OnceLock<usize>,
}

impl<F> HostOp<F> {
    /// # Safety
    /// `kernel` must write every value of its output.
    pub(super) unsafe fn new(name: &'static str, size: usize, kernel: F) -> Self {
        Self {
            name,
            size,
            kernel,
            start: OnceLock::new(),
        }
    }

    /// The output of a kernel of one tensor.
    pub(super) fn apply(self, input: &Tensor, shape: impl Into<Shape>) -> Result<Tensor>
    where
        F: Fn(&[f32], SharedOut) + Send + Sync,
    {
        self.view(&input.apply_op1_no_bwd(&self)?, shape)
    }

    /// The output of a kernel of two tensors.
    pub(super) fn apply_two(self, inputs: [&Tensor; 2], shape: impl Into<Shape>) -> Result<Tensor>
    where
        F: Fn([&[f32]; 2], SharedOut) + Send + Sync,
    {
        let [one, other] = inputs;
        self.view(&one.apply_op2_no_bwd(other, &self)?, shape)
    }

    /// The part of what was allocated that the kernel has written.
    fn view(&self, allocated: &Tensor, shape: impl Into<Shape>) -> Result<Tensor> {
        let start = self.start.get().copied().unwrap_or_default();
        allocated.narrow(0, start, self.size)?.reshape(shape.into())
    }

    /// An output that `kernel` has filled, with room before and after it.
    fn run(&self, kernel: impl FnOnce(SharedOut)) -> (CpuStorage, Shape) {
        let mut out: Vec<f32> = Vec::with_capacity(self.size + LINE);
        let room = out.spare_capacity_mut();
        let start = room
            .as_ptr()
            .align_offset(LINE * size_of::<f32>())
            .min(LINE);
        let end = start + self.size;
        room[..start].fill(MaybeUninit::new(0.0));
        kernel(SharedOut::new(&mut room[start..end]));
        // SAFETY: what comes before is filled, and the rest by the promise made to `new`.
        unsafe { out.set_len(end) }
        let _ = self.start.set(start);
        (CpuStorage::F32(out), end.into())
    }
}

impl<F: Fn(&[f32], SharedOut)> CustomOp1 for HostOp<F> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let input = contiguous(self.name, storage, layout)?;
        Ok(self.run(|out| (self.kernel)(input, out)))
    }
}

impl<F: Fn([&[f32]; 2], SharedOut)> CustomOp2 for HostOp<F> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(
        &self,
        one: &CpuStorage,
        one_layout: &Layout,
        other: &CpuStorage,
        other_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let one = contiguous(self.name, one, one_layout)?;
        let other = contiguous(self.name, other, other_layout)?;
        Ok(self.run(|out| (self.kernel)([one, other], out)))
    }
}

/// The numbers of a tensor whose rows lie end to end.
fn contiguous<'a>(name: &str, storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let CpuStorage::F32(values) = storage else {
        bail!("{name} takes f32")
    };
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&values[start..end]),
        None => bail!("{name} takes contiguous tensors"),
    }
}
