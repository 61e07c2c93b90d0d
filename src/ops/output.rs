//! Results of the encoder on their way to the host.

use super::candle::failed;
use crate::error::Result;

/// One result in f32, which a GPU may not have computed yet.
#[derive(Clone)]
pub enum OutputTensor {
    /// In the host's memory, row-major.
    Host(Vec<f32>),
    /// On a device of candle, contiguous.
    Candle(candle_core::Tensor),
}

impl OutputTensor {
    /// Whether the values are in the host's memory already.
    #[must_use]
    pub fn is_on_host(&self) -> bool {
        match self {
            Self::Host(_) => true,
            Self::Candle(_) => false,
        }
    }

    /// Waits for the values, row-major.
    ///
    /// # Errors
    /// If the device fails.
    pub fn into_host(self) -> Result<Vec<f32>> {
        match self {
            Self::Host(values) => Ok(values),
            Self::Candle(tensor) => tensor
                .flatten_all()
                .and_then(|flat| flat.to_vec1())
                .map_err(failed),
        }
    }
}
