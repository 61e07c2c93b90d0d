//! Results of the encoder on their way to the host.

use crate::error::Result;

/// One result in f32; a GPU may not have computed it yet.
#[derive(Clone)]
pub enum OutputTensor {
    /// In the host's memory, row-major.
    Host(Vec<f32>),
    /// On a GPU.
    #[cfg(feature = "cuda")]
    Cuda(candle_core::Tensor),
}

impl OutputTensor {
    /// Starts the copy to the host. A GPU copies while it computes the next batch.
    ///
    /// # Errors
    /// If the device fails or the host has no memory for the numbers.
    pub fn download(self) -> Result<Download> {
        Ok(match self {
            Self::Host(numbers) => Download::Host(numbers),
            #[cfg(feature = "cuda")]
            Self::Cuda(tensor) => Download::Cuda(super::cuda::CudaDownload::start(&tensor)?),
        })
    }
}

/// One result that is being copied to the host.
pub enum Download {
    /// It is there.
    Host(Vec<f32>),
    /// From a GPU.
    #[cfg(feature = "cuda")]
    Cuda(super::cuda::CudaDownload),
}

impl Download {
    /// Whether the numbers are there; on the CPU they always are.
    #[must_use]
    pub fn is_done(&self) -> bool {
        match self {
            Self::Host(_) => true,
            #[cfg(feature = "cuda")]
            Self::Cuda(_) => false,
        }
    }

    /// Waits for the numbers, row-major.
    ///
    /// # Errors
    /// If the device fails.
    pub fn finish(self) -> Result<Vec<f32>> {
        match self {
            Self::Host(numbers) => Ok(numbers),
            #[cfg(feature = "cuda")]
            Self::Cuda(download) => download.finish(),
        }
    }
}
