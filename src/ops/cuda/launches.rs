//! The launch of each kernel, with the checks that a kernel cannot make: types and shapes.

use candle_core::{D, DType, Error, Result, Tensor, bail};

use super::definitions::{
    ACTIVATION_GELU, ACTIVATION_GELU_TANH, ACTIVATION_NONE, ACTIVATION_RELU, ACTIVATION_TANH,
    THREADS, VALUES,
};
use super::launch::{Argument, Launch};
use super::tiles::Tiles;
use crate::ops::Activation;

/// activation(`y` + `bias`), in place.
///
/// # Shapes
/// `y` `[tokens, features]`, `bias` `[features]`
pub(super) fn bias_activation(y: &Tensor, bias: &Tensor, activation: Activation) -> Result<()> {
    let (tokens, features) = y.dims2()?;
    expect(bias, DType::F32, &[features])?;
    let width = width(features);
    let packs = tokens * features / width;
    Launch {
        operation: "bias_activation",
        dtype: y.dtype(),
        variant: width,
        grid: (packs.div_ceil(THREADS), 1),
        arguments: &[
            Argument::Tensor(bias),
            Argument::number(packs)?,
            Argument::number(features)?,
            Argument::number(number_of(activation))?,
        ],
    }
    .fill(y)
}

/// Its number in the kernels.
fn number_of(activation: Activation) -> usize {
    match activation {
        Activation::None => ACTIVATION_NONE,
        Activation::Gelu => ACTIVATION_GELU,
        Activation::GeluTanh => ACTIVATION_GELU_TANH,
        Activation::Relu => ACTIVATION_RELU,
        Activation::Tanh => ACTIVATION_TANH,
    }
}

/// Scale, shift and epsilon of a normalization.
pub(crate) struct DeviceNorm {
    /// `[hidden]`, in f32
    pub(super) gamma: Tensor,
    /// `[hidden]`, in f32
    pub(super) beta: Tensor,
    pub(super) eps: f32,
}

/// The normalization of `x + bias + residual`.
///
/// # Shapes
/// `x`, `residual` `[tokens, hidden]`, `bias` `[hidden]` → `[tokens, hidden]`
pub(super) fn add_layer_norm(
    x: &Tensor,
    bias: Option<&Tensor>,
    residual: &Tensor,
    norm: &DeviceNorm,
) -> Result<Tensor> {
    let (tokens, hidden) = x.dims2()?;
    expect(residual, x.dtype(), &[tokens, hidden])?;
    norm.expect(hidden)?;
    bias.map_or(Ok(()), |bias| expect(bias, DType::F32, &[hidden]))?;
    let out = uninitialized(x.dtype(), x, (tokens, hidden))?;
    Launch {
        operation: "add_layer_norm",
        dtype: x.dtype(),
        variant: width(hidden),
        grid: (tokens, 1),
        arguments: &[
            Argument::Tensor(x),
            Argument::maybe(bias),
            Argument::Tensor(residual),
            Argument::Tensor(&norm.gamma),
            Argument::Tensor(&norm.beta),
            Argument::number(hidden)?,
            Argument::Float(norm.eps),
        ],
    }
    .fill(&out)?;
    Ok(out)
}

/// The normalization of the sum of three rows a token. The ids go to the GPU in one copy, and are
/// checked before.
///
/// # Shapes
/// tables `[rows, hidden]`, three times `[tokens]` ids → `[tokens, hidden]`
pub(super) fn embeddings(tables: &[Tensor], ids: &[&[u32]], norm: &DeviceNorm) -> Result<Tensor> {
    let ([word, token_type, position], &[_, _, _]) = (tables, ids) else {
        bail!("embeddings: the kernel adds three tables");
    };
    let (tokens, hidden) = (ids[0].len(), word.dim(D::Minus1)?);
    norm.expect(hidden)?;
    for (table, ids) in [word, token_type, position].into_iter().zip(ids) {
        let rows = table.dim(0)?;
        expect(table, word.dtype(), &[rows, hidden])?;
        if ids.len() != tokens {
            bail!("embeddings: the lists of ids are not of one length");
        }
        if let Some(id) = ids.iter().find(|id| **id as usize >= rows) {
            bail!("embeddings: row {id} of a table of {rows} rows");
        }
    }
    let ids = Tensor::from_vec(ids.concat(), (3, tokens), word.device())?;
    let out = uninitialized(word.dtype(), word, (tokens, hidden))?;
    Launch {
        operation: "embeddings",
        dtype: word.dtype(),
        variant: width(hidden),
        grid: (tokens, 1),
        arguments: &[
            Argument::Tensor(word),
            Argument::Tensor(token_type),
            Argument::Tensor(position),
            Argument::Tensor(&ids),
            Argument::number(tokens)?,
            Argument::Tensor(&norm.gamma),
            Argument::Tensor(&norm.beta),
            Argument::number(hidden)?,
            Argument::Float(norm.eps),
        ],
    }
    .fill(&out)?;
    Ok(out)
}

/// The context of every sequence and head, in one launch.
///
/// # Shapes
/// `query_key_value` `[tokens, 3 × hidden]`, `bias` `[3 × hidden]` → `[tokens, hidden]`
pub(super) fn attention(
    query_key_value: &Tensor,
    bias: Option<&Tensor>,
    tiles: &Tiles,
    heads: usize,
) -> Result<Tensor> {
    let (tokens, features) = query_key_value.dims2()?;
    let head_dim = features / 3 / heads;
    expect(
        query_key_value,
        query_key_value.dtype(),
        &[tiles.tokens, 3 * heads * head_dim],
    )?;
    bias.map_or(Ok(()), |bias| expect(bias, DType::F32, &[features]))?;
    let out = uninitialized(
        query_key_value.dtype(),
        query_key_value,
        (tokens, features / 3),
    )?;
    Launch {
        operation: tiles.kernel.operation,
        dtype: query_key_value.dtype(),
        variant: tiles.kernel.features,
        grid: (tiles.count()?, heads),
        arguments: &[
            Argument::Tensor(query_key_value),
            Argument::maybe(bias),
            Argument::Tensor(&tiles.table),
            Argument::number(head_dim)?,
            Argument::Float(1.0 / (head_dim as f32).sqrt()),
        ],
    }
    .fill(&out)?;
    Ok(out)
}

/// The attention probabilities of every sequence and head, in one launch.
///
/// # Shapes
/// `query_key_value` `[tokens, 3 × hidden]`, `bias` `[3 × hidden]` → `[heads, tokens, tokens]` of
/// one sequence after the other, in f32
pub(super) fn attention_probs(
    query_key_value: &Tensor,
    bias: Option<&Tensor>,
    tiles: &Tiles,
    heads: usize,
) -> Result<Tensor> {
    let (_, features) = query_key_value.dims2()?;
    let (dtype, head_dim) = (query_key_value.dtype(), features / 3 / heads);
    expect(
        query_key_value,
        dtype,
        &[tiles.tokens, 3 * heads * head_dim],
    )?;
    bias.map_or(Ok(()), |bias| expect(bias, DType::F32, &[features]))?;
    let out = uninitialized(DType::F32, query_key_value, (heads, tiles.pairs as usize))?;
    Launch {
        operation: "attention_probs",
        dtype,
        variant: 1,
        grid: (tiles.count()?, heads),
        arguments: &[
            Argument::Tensor(query_key_value),
            Argument::maybe(bias),
            Argument::Tensor(&tiles.table),
            Argument::Tensor(&tiles.upload_pairs()?),
            Argument::number(tiles.kernel.queries)?,
            Argument::number(head_dim)?,
            Argument::Float(1.0 / (head_dim as f32).sqrt()),
        ],
    }
    .fill(&out)?;
    Ok(out)
}

/// Some rows of `x`, checked before they are asked for.
///
/// # Shapes
/// `x` `[tokens, features]` → `[rows, features]`
pub(super) fn select(x: &Tensor, rows: &[usize]) -> Result<Tensor> {
    let (tokens, features) = x.dims2()?;
    if let Some(row) = rows.iter().find(|row| **row >= tokens) {
        bail!("select: row {row} of {tokens}");
    }
    let numbers: Vec<u32> = rows.iter().map(|row| *row as u32).collect();
    let numbers = Tensor::new(numbers, x.device())?;
    let out = uninitialized(x.dtype(), x, (rows.len(), features))?;
    Launch {
        operation: "select",
        dtype: x.dtype(),
        variant: width(features),
        grid: (rows.len(), 1),
        arguments: &[
            Argument::Tensor(x),
            Argument::Tensor(&numbers),
            Argument::number(features)?,
        ],
    }
    .fill(&out)?;
    Ok(out)
}

/// `x` in f32.
///
/// # Shapes
/// `[tokens, features]` → the same
pub(super) fn widen(x: &Tensor) -> Result<Tensor> {
    if x.dtype() == DType::F32 {
        return Ok(x.clone());
    }
    let (tokens, features) = x.dims2()?;
    let out = uninitialized(DType::F32, x, (tokens, features))?;
    let width = width(features);
    let packs = tokens * features / width;
    Launch {
        operation: "widen",
        dtype: x.dtype(),
        variant: width,
        grid: (packs.div_ceil(THREADS), 1),
        arguments: &[Argument::Tensor(x), Argument::number(packs)?],
    }
    .fill(&out)?;
    Ok(out)
}

impl DeviceNorm {
    fn expect(&self, hidden: usize) -> Result<()> {
        if hidden > THREADS * VALUES {
            bail!("layer norm: a row of {hidden} numbers");
        }
        expect(&self.gamma, DType::F32, &[hidden])?;
        expect(&self.beta, DType::F32, &[hidden])
    }
}

/// Neighbours that a thread reads at once; four of them if every row begins at a multiple of four,
/// otherwise one.
fn width(features: usize) -> usize {
    if features.is_multiple_of(4) { 4 } else { 1 }
}

fn expect(tensor: &Tensor, dtype: DType, shape: &[usize]) -> Result<()> {
    if tensor.dtype() == dtype && tensor.dims() == shape && tensor.is_contiguous() {
        return Ok(());
    }
    Err(Error::Msg(format!(
        "a tensor of {:?} {:?}, but {dtype:?} {shape:?} is needed, end to end",
        tensor.dtype(),
        tensor.dims()
    )))
}

/// A tensor on the device of `beside`, for a kernel that writes all of it.
fn uninitialized(dtype: DType, beside: &Tensor, shape: (usize, usize)) -> Result<Tensor> {
    // SAFETY: every caller hands it to a kernel that writes each of its numbers, and nobody reads
    // it before: the stream is in order.
    unsafe { Tensor::empty(shape, dtype, beside.device()) }
}
