//! The sequences of a batch, cut into tiles of queries for the attention kernel.

use candle_core::{Error, Result, Tensor, bail};

use super::definitions::{
    LARGE_HEAD, LARGE_HEAD_QUERIES, SMALL_HEAD, SMALL_HEAD_QUERIES, TENSOR_QUERIES,
};
use super::gpu::{AMPERE, Gpu};
use super::upload::Upload;
use crate::ops::Sequence;
use crate::weights::Dtype;

/// A kernel for attention, and its limits.
#[derive(Clone, Copy)]
pub(super) struct AttentionKernel {
    pub(super) operation: &'static str,
    /// Features of a head at most, its variant.
    pub(super) features: usize,
    /// Of a tile.
    pub(super) queries: usize,
}

/// Those of `attention.cu`.
const ON_CORES: [AttentionKernel; 2] = [
    AttentionKernel::new("attention", SMALL_HEAD, SMALL_HEAD_QUERIES),
    AttentionKernel::new("attention", LARGE_HEAD, LARGE_HEAD_QUERIES),
];

/// Those of `tensor_attention.cu`, for half precision.
const ON_TENSOR_CORES: [AttentionKernel; 2] = [
    AttentionKernel::new("tensor_attention", SMALL_HEAD, TENSOR_QUERIES),
    AttentionKernel::new("tensor_attention", LARGE_HEAD, TENSOR_QUERIES),
];

impl AttentionKernel {
    const fn new(operation: &'static str, features: usize, queries: usize) -> Self {
        Self {
            operation,
            features,
            queries,
        }
    }

    /// The smallest one for heads of `head_dim` features, in vectors of the model's type.
    fn of(head_dim: usize, model: &Upload) -> Result<Self> {
        let gpu = Gpu::of(model.device.as_cuda_device()?)?;
        let kernels = if model.dtype != Dtype::F32 && gpu.compute_capability >= AMPERE {
            ON_TENSOR_CORES
        } else {
            ON_CORES
        };
        match kernels.into_iter().find(|it| head_dim <= it.features) {
            Some(kernel) => Ok(kernel),
            None => bail!("attention: a head of {head_dim} features"),
        }
    }
}

/// The table of tiles of one batch on the GPU.
pub(crate) struct Tiles {
    /// `[tiles, 4]`: `Tile` of `attention.cu`
    pub(super) table: Tensor,
    /// For each tile, the pairs of tokens in the sequences before its own.
    pairs_before: Vec<u64>,
    /// The pairs of tokens in all sequences.
    pub(super) pairs: u64,
    /// The first token of each sequence.
    pub(super) first_tokens: Vec<usize>,
    /// Tokens of all sequences.
    pub(super) tokens: usize,
    /// The kernel that the tiles are for.
    pub(super) kernel: AttentionKernel,
}

impl Tiles {
    /// Uploads the tiles of `sequences`.
    pub(super) fn upload(sequences: &[Sequence], head_dim: usize, model: &Upload) -> Result<Self> {
        let kernel = AttentionKernel::of(head_dim, model)?;
        let (mut numbers, mut pairs_before) = (Vec::new(), Vec::new());
        let (mut tokens, mut pairs) = (0, 0);
        for sequence in sequences {
            if sequence.start != tokens || sequence.attended > sequence.tokens {
                bail!("attention: the sequences do not lie end to end");
            }
            tokens += sequence.tokens;
            for first_query in (0..sequence.tokens).step_by(kernel.queries) {
                let Sequence {
                    start,
                    tokens,
                    attended,
                } = *sequence;
                numbers.extend([start, tokens, attended, first_query].map(|it| it as u32));
                pairs_before.push(pairs);
            }
            pairs += sequence.tokens as u64 * sequence.tokens as u64;
        }
        let shape = (numbers.len() / 4, 4);
        Ok(Self {
            table: Tensor::from_vec(numbers, shape, &model.device)?,
            first_tokens: sequences.iter().map(|sequence| sequence.start).collect(),
            pairs_before,
            pairs,
            tokens,
            kernel,
        })
    }

    /// The number of tiles.
    pub(super) fn count(&self) -> Result<usize> {
        self.table.dim(0)
    }

    /// [`Tiles::pairs_before`] on the GPU.
    pub(super) fn upload_pairs(&self) -> Result<Tensor> {
        let number = |&pairs: &u64| {
            u32::try_from(pairs)
                .map_err(|_| Error::Msg("a batch is too large for its attentions".to_owned()))
        };
        let numbers: Result<Vec<u32>> = self.pairs_before.iter().map(number).collect();
        Tensor::new(numbers?, self.table.device())
    }
}
