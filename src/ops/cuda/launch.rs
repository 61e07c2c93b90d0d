//! One launch of one of our kernels, as a custom operation of candle.
//!
//! Turns tensors into the pointers that a kernel takes. The caller checks their shapes.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::{
    CudaSlice, DevicePtr, LaunchConfig, PushKernelArg,
};
use candle_core::cuda_backend::{CudaStorageSlice, WrapErr};
use candle_core::{
    CpuStorage, CudaStorage, DType, Error, InplaceOp1, Layout, Result, Storage, Tensor, bail,
};

use super::definitions::THREADS;
use super::gpu::Gpu;

/// A kernel with its arguments after the output.
pub(super) struct Launch<'a> {
    /// The beginning of the kernel's name.
    pub(super) operation: &'static str,
    /// The type of the vectors in its name.
    pub(super) dtype: DType,
    /// The number at its end.
    pub(super) variant: usize,
    /// Blocks in x and y.
    pub(super) grid: (usize, usize),
    /// In the kernel's order.
    pub(super) arguments: &'a [Argument<'a>],
}

/// An argument of a kernel.
#[derive(Clone, Copy)]
pub(super) enum Argument<'a> {
    /// The first number of a tensor.
    Tensor(&'a Tensor),
    /// A null pointer: the argument is absent.
    Nothing,
    Number(u32),
    Float(f32),
}

impl<'a> Argument<'a> {
    pub(super) fn maybe(tensor: Option<&'a Tensor>) -> Self {
        tensor.map_or(Self::Nothing, Self::Tensor)
    }

    pub(super) fn number(number: usize) -> Result<Self> {
        let number = u32::try_from(number).map_err(|_| {
            Error::Msg(format!(
                "a batch of {number} numbers is too large for a GPU"
            ))
        })?;
        Ok(Self::Number(number))
    }

    /// In the form that the driver takes.
    fn value(self) -> Result<KernelValue> {
        Ok(match self {
            Self::Nothing => KernelValue::Pointer(0),
            Self::Number(number) => KernelValue::Number(number),
            Self::Float(number) => KernelValue::Float(number),
            Self::Tensor(tensor) => {
                let (storage, layout) = tensor.storage_and_layout();
                let Storage::Cuda(storage) = &*storage else {
                    bail!("a kernel takes tensors of the GPU")
                };
                KernelValue::Pointer(pointer(storage, layout)?)
            }
        })
    }
}

/// An argument as the driver takes it.
enum KernelValue {
    Pointer(u64),
    Number(u32),
    Float(f32),
}

impl Launch<'_> {
    /// Makes the kernel write or change `out`.
    pub(super) fn fill(self, out: &Tensor) -> Result<()> {
        out.inplace_op1(&self)
    }
}

impl InplaceOp1 for Launch<'_> {
    fn name(&self) -> &'static str {
        self.operation
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout) -> Result<()> {
        bail!("{} has another kernel on the CPU", self.operation)
    }

    fn cuda_fwd(&self, storage: &mut CudaStorage, layout: &Layout) -> Result<()> {
        let (Ok(x), Ok(y)) = (u32::try_from(self.grid.0), u32::try_from(self.grid.1)) else {
            bail!("{}: the batch is too large for a GPU", self.operation)
        };
        if x == 0 || y == 0 {
            return Ok(());
        }
        let gpu = Gpu::of(storage.device())?;
        let kernel = gpu.kernel(self.operation, self.dtype, self.variant)?;
        let arguments: Result<Vec<_>> = self.arguments.iter().map(|it| it.value()).collect();
        let (out, arguments) = (pointer(storage, layout)?, arguments?);
        let mut launch = gpu.stream.launch_builder(&kernel);
        launch.arg(&out);
        for argument in &arguments {
            match argument {
                KernelValue::Pointer(pointer) => launch.arg(pointer),
                KernelValue::Number(number) => launch.arg(number),
                KernelValue::Float(number) => launch.arg(number),
            };
        }
        let config = LaunchConfig {
            grid_dim: (x, y, 1),
            block_dim: (THREADS as u32, 1, 1),
            shared_mem_bytes: 0,
        };
        // SAFETY: the arguments are the kernel's, in its order; its tensors have the shapes and
        // types that it reads and writes, which the caller has checked; all are on one stream, so
        // that none is freed or written before the kernel has ended.
        unsafe { launch.launch(config) }.w()?;
        Ok(())
    }
}

/// Where on the GPU the numbers of a tensor begin.
pub(super) fn pointer(storage: &CudaStorage, layout: &Layout) -> Result<u64> {
    let Some((start, _)) = layout.contiguous_offsets() else {
        bail!("a kernel takes contiguous tensors")
    };
    let first = match &storage.slice {
        CudaStorageSlice::F32(slice) => address(slice),
        CudaStorageSlice::F16(slice) => address(slice),
        CudaStorageSlice::BF16(slice) => address(slice),
        CudaStorageSlice::U32(slice) => address(slice),
        _ => bail!("no kernel takes {:?}", storage.dtype()),
    };
    Ok(first + (start * storage.dtype().size_in_bytes()) as u64)
}

fn address<T>(slice: &CudaSlice<T>) -> u64 {
    slice.device_ptr(slice.stream()).0
}
