//! What this process keeps for a GPU: the compiled kernels, the streams, memory for copies.
//!
//! Made once per process, when a GPU's first kernel is launched.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::result::{device, mem_pool};
use candle_core::cuda_backend::cudarc::driver::sys::CUmemPool_attribute;
use candle_core::cuda_backend::cudarc::driver::{
    CudaContext, CudaFunction, CudaStream, DriverError, PinnedHostSlice,
};
use candle_core::cuda_backend::cudarc::nvrtc::{CompileOptions, Ptx, compile_ptx_with_opts};
use candle_core::cuda_backend::{DeviceId, WrapErr};
use candle_core::{DType, Result, bail};

use super::definitions;

/// The kernels' source; NVRTC compiles it for the GPU at hand.
const SOURCE: &str = concat!(
    include_str!("kernels.cu"),
    include_str!("attention.cu"),
    include_str!("tensor_attention.cu"),
    include_str!("attention_probs.cu"),
);

/// The first compute capability whose instructions the kernels use.
pub(super) const AMPERE: (i32, i32) = (8, 0);

/// A GPU with our kernels on it.
pub(super) struct Gpu {
    /// The stream on which everything is computed, in order; candle's own.
    pub(super) stream: Arc<CudaStream>,
    /// The stream on which results are copied to the host while the next batch is computed.
    pub(super) copies: Arc<CudaStream>,
    /// Memory of the host that the GPU writes to directly; kept, because it is slow to allocate.
    pub(super) pinned: Mutex<Vec<PinnedHostSlice<f32>>>,
    /// Major and minor.
    pub(super) compute_capability: (i32, i32),
    /// By name; each is compiled when it is first asked for.
    kernels: Mutex<HashMap<String, CudaFunction>>,
}

static GPUS: Mutex<Vec<(DeviceId, Arc<Gpu>)>> = Mutex::new(Vec::new());

impl Gpu {
    /// The state for `device`.
    pub(super) fn of(device: &CudaDevice) -> Result<Arc<Self>> {
        let mut gpus = GPUS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, gpu)) = gpus.iter().find(|(id, _)| *id == device.id()) {
            return Ok(Arc::clone(gpu));
        }
        let gpu = Arc::new(Self::new(device)?);
        gpus.push((device.id(), Arc::clone(&gpu)));
        Ok(gpu)
    }

    fn new(device: &CudaDevice) -> Result<Self> {
        let stream = device.cuda_stream();
        let context = stream.context();
        keep_memory(context).w()?;
        Ok(Self {
            copies: context.new_stream().w()?,
            pinned: Mutex::default(),
            compute_capability: context.compute_capability().w()?,
            kernels: Mutex::default(),
            stream,
        })
    }

    /// The kernel of an operation for a type of numbers and a variant, `KERNEL_operation(T,
    /// variant)` of the source.
    pub(super) fn kernel(
        &self,
        operation: &str,
        dtype: DType,
        variant: usize,
    ) -> Result<CudaFunction> {
        let number = match dtype {
            DType::F32 => "f32",
            DType::F16 => "f16",
            DType::BF16 => "bf16",
            other => bail!("{operation} is not computed in {other:?}"),
        };
        let name = format!("{operation}_{number}_{variant}");
        let mut kernels = self.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kernel) = kernels.get(&name) {
            return Ok(kernel.clone());
        }
        let ptx = self.compile(&format!("KERNEL_{operation}({number}, {variant})\n"))?;
        let module = self.stream.context().load_module(ptx).w()?;
        let kernel = module.load_function(&name).w()?;
        kernels.insert(name, kernel.clone());
        Ok(kernel)
    }

    fn compile(&self, kernel: &str) -> Result<Ptx> {
        // A program for Ampere runs on every newer GPU, even if this NVRTC does not know it.
        let (major, minor) = self.compute_capability.min(AMPERE);
        let mut options = definitions::as_options();
        options.push(format!("--gpu-architecture=compute_{major}{minor}"));
        options.push("--std=c++17".to_owned());
        let options = CompileOptions {
            name: Some("kernels.cu".to_owned()),
            options,
            ..CompileOptions::default()
        };
        compile_ptx_with_opts(SOURCE.to_owned() + kernel, options).w()
    }
}

/// Makes the driver keep the memory of one batch for the next: by default it gives all memory back
/// whenever the host waits for the GPU.
fn keep_memory(context: &CudaContext) -> std::result::Result<(), DriverError> {
    if !context.has_async_alloc() {
        return Ok(());
    }
    let mut all = u64::MAX;
    // SAFETY: the device is the context's, and the attribute is a number of 64 bits.
    unsafe {
        let pool = device::get_default_mem_pool(context.cu_device())?;
        let threshold = CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        mem_pool::set_attribute(pool, threshold, (&raw mut all).cast())
    }
}
