//! Results on their way to the host while the GPU goes on.
//!
//! The copy has a stream of its own, which waits for what was launched before it and not for what
//! is launched after. It writes to page-locked memory, without the processor.

use std::sync::{Arc, PoisonError};

use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::result::{memcpy_dtoh_async, stream};
use candle_core::cuda_backend::cudarc::driver::{CudaEvent, PinnedHostSlice};
use candle_core::{DType, Error, Result, Storage, Tensor, bail};
use rayon::prelude::*;

use super::cause::failed;
use super::gpu::Gpu;
use super::launch::pointer;

/// One tensor that is being copied.
pub struct CudaDownload {
    gpu: Arc<Gpu>,
    /// Kept alive while it is read.
    _tensor: Tensor,
    /// `None` once the numbers are taken out.
    to: Option<PinnedHostSlice<f32>>,
    numbers: usize,
    done: Option<CudaEvent>,
}

impl CudaDownload {
    /// Asks for the numbers of `tensor`, contiguous and f32.
    pub(in crate::ops) fn start(tensor: &Tensor) -> crate::error::Result<Self> {
        Self::begin(tensor).map_err(failed)
    }

    fn begin(tensor: &Tensor) -> Result<Self> {
        let (storage, layout) = tensor.storage_and_layout();
        let Storage::Cuda(cuda) = &*storage else {
            bail!("a download is from a GPU")
        };
        if tensor.dtype() != DType::F32 {
            bail!("a download takes f32, not {:?}", tensor.dtype());
        }
        let gpu = Gpu::of(&cuda.device)?;
        let (from, numbers) = (pointer(cuda, layout)?, tensor.elem_count());
        let computed = gpu.stream.record_event(None).w()?;
        gpu.copies.wait(&computed).w()?;
        let mut download = Self {
            to: Some(gpu.pinned(numbers)?),
            gpu,
            _tensor: tensor.clone(),
            numbers,
            done: None,
        };
        download.copy(from)?;
        Ok(download)
    }

    fn copy(&mut self, from: u64) -> Result<()> {
        let copies = &self.gpu.copies;
        if let Some(to) = &mut self.to
            && self.numbers > 0
        {
            let room = &mut to.as_mut_slice().w()?[..self.numbers];
            // SAFETY: `from` has as many numbers, and both places outlive the copy: `drop` waits.
            unsafe { memcpy_dtoh_async(room, from, copies.cu_stream()) }.w()?;
        }
        self.done = Some(copies.record_event(None).w()?);
        Ok(())
    }

    /// Waits for the numbers.
    pub(in crate::ops) fn finish(self) -> crate::error::Result<Vec<f32>> {
        self.numbers().map_err(failed)
    }

    fn numbers(mut self) -> Result<Vec<f32>> {
        if let Some(done) = &self.done {
            done.synchronize().w()?;
        }
        let Some(to) = self.to.take() else {
            return Err(Error::Msg("a download has no memory".to_owned()));
        };
        let mut numbers = vec![0.0; self.numbers];
        let copies = numbers.par_chunks_mut(PIECE);
        // On all processors: these are tens of megabytes, and the GPU is faster.
        copies
            .zip(to.as_slice().w()?.par_chunks(PIECE))
            .for_each(|(to, from)| to.copy_from_slice(&from[..to.len()]));
        self.gpu.give_back(to);
        Ok(numbers)
    }
}

impl Drop for CudaDownload {
    fn drop(&mut self) {
        if self.to.is_none() {
            return;
        }
        // Calls the driver itself, because cudarc would not wait after an earlier error. That error
        // was reported by another operation, and the GPU no longer works. SAFETY: the stream lives
        // as long as `gpu`.
        let _ = unsafe { stream::synchronize(self.gpu.copies.cu_stream()) };
    }
}

/// Numbers that are copied at a time.
const PIECE: usize = 1 << 16;

/// Blocks of page-locked memory that are kept: a few outputs of two batches.
const KEPT: usize = 4;

impl Gpu {
    /// Page-locked memory for at least `numbers`.
    fn pinned(&self, numbers: usize) -> Result<PinnedHostSlice<f32>> {
        let mut kept = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = kept.iter().position(|it| it.len() >= numbers) {
            return Ok(kept.swap_remove(place));
        }
        // No block is large enough: they make room for one that is.
        kept.clear();
        let room = numbers.max(1).next_power_of_two();
        // SAFETY: it is read only after a copy has filled it. No flags: the processor reads it,
        // which is slow if the memory is write-combined.
        unsafe { self.stream.context().alloc_pinned_with_flags(room, 0) }.w()
    }

    fn give_back(&self, memory: PinnedHostSlice<f32>) {
        let mut kept = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.push(memory);
        }
    }
}
