//! Results of the encoder on their way to the host.

use crate::error::Result;

/// One result in f32, which a GPU may not have computed yet.
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
    /// If the device fails or the host has too little memory.
    pub fn download(self) -> Result<Download> {
        Ok(match self {
            Self::Host(values) => Download::Host(values),
            #[cfg(feature = "cuda")]
            Self::Cuda(tensor) => Download::Cuda(super::cuda::CudaDownload::start(&tensor)?),
        })
    }
}

/// One result that is being copied to the host.
pub enum Download {
    /// Already in the host's memory.
    Host(Vec<f32>),
    /// From a GPU.
    #[cfg(feature = "cuda")]
    Cuda(super::cuda::CudaDownload),
}

impl Download {
    /// Whether [`finish`](Self::finish) returns at once, as it always does on the CPU.
    #[must_use]
    pub fn is_done(&self) -> bool {
        match self {
            Self::Host(_) => true,
            #[cfg(feature = "cuda")]
            Self::Cuda(_) => false,
        }
    }

    /// Waits for the values, row-major.
    ///
    /// # Errors
    /// If the device fails.
    pub fn finish(self) -> Result<Vec<f32>> {
        match self {
            Self::Host(values) => Ok(values),
            #[cfg(feature = "cuda")]
            Self::Cuda(download) => download.finish(),
        }
    }
}
