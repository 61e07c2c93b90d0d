//! The sequences of a batch as the attention kernel takes them: cut into tiles of queries.

use candle_core::{DType, Result, Tensor, bail};

use super::super::Sequence;
use super::MAX_HEAD_DIM;
use super::gpu::{AMPERE, Gpu};

/// A kernel for attention, and what it is made for.
#[derive(Clone, Copy)]
pub(super) struct Kernel {
    pub(super) operation: &'static str,
    /// Features of a head at most, its variant.
    pub(super) features: usize,
    /// Of a tile.
    queries: usize,
}

/// Those of `attention.cu`.
const ON_CORES: [Kernel; 2] = [
    Kernel::new("attention", 64, 64),
    Kernel::new("attention", MAX_HEAD_DIM, 32),
];

/// Those of `tensor_attention.cu`, for half precision.
const ON_TENSOR_CORES: [Kernel; 2] = [
    Kernel::new("tensor_attention", 64, 128),
    Kernel::new("tensor_attention", MAX_HEAD_DIM, 128),
];

impl Kernel {
    const fn new(operation: &'static str, features: usize, queries: usize) -> Self {
        Self {
            operation,
            features,
            queries,
        }
    }

    /// The smallest one for heads of `head_dim` features, in vectors like `x`.
    fn of(head_dim: usize, x: &Tensor) -> Result<Self> {
        let gpu = Gpu::of(x.device().as_cuda_device()?)?;
        let kernels = if x.dtype() != DType::F32 && gpu.compute_capability >= AMPERE {
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
pub(in super::super) struct Tiles {
    /// `[tiles, 4]`: `Tile` of `attention.cu`
    pub(super) table: Tensor,
    /// Tokens of all sequences.
    pub(super) tokens: usize,
    /// Whose tiles they are.
    pub(super) kernel: Kernel,
}

impl Tiles {
    /// Uploads the tiles of `sequences`, whose vectors are like `x`.
    pub(in super::super) fn upload(
        sequences: &[Sequence],
        head_dim: usize,
        x: &Tensor,
    ) -> Result<Self> {
        let kernel = Kernel::of(head_dim, x)?;
        let mut numbers = Vec::new();
        let mut tokens = 0;
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
            }
        }
        let shape = (numbers.len() / 4, 4);
        Ok(Self {
            table: Tensor::from_vec(numbers, shape, x.device())?,
            tokens,
            kernel,
        })
    }

    /// How many there are.
    pub(super) fn count(&self) -> Result<usize> {
        self.table.dim(0)
    }
}
