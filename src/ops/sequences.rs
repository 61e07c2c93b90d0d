//! Where the sequences of a batch lie, known to the device too.

use std::sync::OnceLock;

use candle_core::{Result, Tensor};

use super::Sequence;
use super::cuda::Tiles;

/// The sequences of one batch, end to end.
pub struct Sequences<'a> {
    list: &'a [Sequence],
    /// Their table on a GPU: made by the first layer, for all layers.
    tiles: OnceLock<Tiles>,
}

impl<'a> Sequences<'a> {
    /// The sequences of `list`.
    #[must_use]
    pub fn new(list: &'a [Sequence]) -> Self {
        Self {
            list,
            tiles: OnceLock::new(),
        }
    }

    /// Where each lies.
    #[must_use]
    pub fn list(&self) -> &'a [Sequence] {
        self.list
    }

    /// The table, for vectors like `x`.
    pub(super) fn tiles(&self, head_dim: usize, x: &Tensor) -> Result<&Tiles> {
        if let Some(tiles) = self.tiles.get() {
            return Ok(tiles);
        }
        let tiles = Tiles::upload(self.list, head_dim, x)?;
        Ok(self.tiles.get_or_init(|| tiles))
    }
}
