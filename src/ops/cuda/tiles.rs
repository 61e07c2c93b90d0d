//! The sequences of a batch as the attention kernel takes them: cut into tiles of queries.

use candle_core::{Device, Result, Tensor, bail};

use super::super::Sequence;

/// Features of a head that a kernel is made for, and the queries of its blocks; a head takes the
/// smallest that holds it. Those of `attention.cu`.
const TILES: [(usize, usize); 2] = [(64, 64), (128, 32)];

/// The table of tiles of one batch on the GPU.
pub(in super::super) struct Tiles {
    /// `[tiles, 4]`: `Tile` of `attention.cu`
    pub(super) table: Tensor,
    /// Tokens of all sequences.
    pub(super) tokens: usize,
}

impl Tiles {
    /// Uploads the tiles of `sequences`.
    pub(in super::super) fn upload(
        sequences: &[Sequence],
        head_dim: usize,
        device: &Device,
    ) -> Result<Self> {
        let (_, queries) = tile(head_dim)?;
        let mut numbers = Vec::new();
        let mut tokens = 0;
        for sequence in sequences {
            if sequence.start != tokens || sequence.attended > sequence.tokens {
                bail!("attention: the sequences do not lie end to end");
            }
            tokens += sequence.tokens;
            for first_query in (0..sequence.tokens).step_by(queries) {
                let Sequence {
                    start,
                    tokens,
                    attended,
                } = *sequence;
                numbers.extend([start, tokens, attended, first_query].map(|it| it as u32));
            }
        }
        let shape = (numbers.len() / 4, 4);
        Ok(Self {
            table: Tensor::from_vec(numbers, shape, device)?,
            tokens,
        })
    }

    /// How many there are.
    pub(super) fn count(&self) -> Result<usize> {
        self.table.dim(0)
    }
}

/// The head size of the kernel for heads of `head_dim` features.
pub(super) fn features_of_kernel(head_dim: usize) -> Result<usize> {
    Ok(tile(head_dim)?.0)
}

fn tile(head_dim: usize) -> Result<(usize, usize)> {
    match TILES
        .into_iter()
        .find(|(features, _)| head_dim <= *features)
    {
        Some(tile) => Ok(tile),
        None => bail!("attention on a GPU takes heads of up to 128 features, not {head_dim}"),
    }
}
