//! The numbers of a result, brought to the host.

use candle_core::{Result, Tensor};

use super::cuda;

/// One tensor on its way to the host; on a GPU it is copied while the next batch is computed.
pub struct Download(Way);

enum Way {
    /// It is there.
    Host(Tensor),
    Cuda(cuda::Download),
}

impl Download {
    /// Asks for the numbers of `tensor`.
    ///
    /// # Errors
    /// Where the device fails or the host has no memory for them.
    pub fn start(tensor: Tensor) -> Result<Self> {
        Ok(Self(if tensor.device().is_cpu() {
            Way::Host(tensor)
        } else {
            Way::Cuda(cuda::Download::start(&tensor)?)
        }))
    }

    /// The numbers, row-major.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn finish(self) -> Result<Vec<f32>> {
        match self.0 {
            Way::Host(tensor) => tensor.flatten_all()?.to_vec1(),
            Way::Cuda(download) => download.finish(),
        }
    }
}
