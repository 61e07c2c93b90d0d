//! Parameters in memory: the checkpoint's own bytes if the kernels can read them.

use super::embeddings::TokenRows;
use super::linear::{FloatWeight, IntegerWeight, Scheme, Weight, WeightMatrix};
use crate::error::{Error, Kind, Result};
use crate::ops::Projection;
use crate::weights::{Dtype, TensorView};

/// A parameter that is not quantized.
pub(crate) enum Parameter {
    /// The checkpoint's own bytes.
    InPlace(TensorView),
    /// A copy in f32.
    Converted(Vec<f32>),
}

impl Parameter {
    /// `view` in f32, rounded to `dtype` if its type is wider.
    pub(crate) fn load(view: &TensorView, dtype: Dtype) -> Self {
        let view = view.at_most(dtype);
        match view.as_f32() {
            Some(_) => Self::InPlace(view),
            None => Self::Converted(view.to_f32()),
        }
    }

    /// The same for the weight of a linear layer, which is copied only if the checkpoint does not
    /// align it.
    fn load_weight(view: &TensorView, dtype: Dtype) -> Self {
        let view = view.at_most(dtype);
        match in_place(&view) {
            Some(_) => Self::InPlace(view),
            None => Self::Converted(view.to_f32()),
        }
    }

    /// The values of a parameter that `load` made.
    pub(crate) fn values(&self) -> &[f32] {
        match self {
            // These bytes are f32, see `load`.
            Self::InPlace(view) => view.as_f32().unwrap_or_default(),
            Self::Converted(values) => values,
        }
    }

    fn weight(&self) -> FloatWeight<'_> {
        match self {
            // These bytes can be read in place, see `load_weight`.
            Self::InPlace(view) => in_place(view).unwrap_or(FloatWeight::F32(&[])),
            Self::Converted(values) => FloatWeight::F32(values),
        }
    }
}

fn in_place(view: &TensorView) -> Option<FloatWeight<'_>> {
    None.or_else(|| view.as_f32().map(FloatWeight::F32))
        .or_else(|| view.as_f16().map(FloatWeight::F16))
        .or_else(|| view.as_bf16().map(FloatWeight::Bf16))
}

/// The weight and the bias of one projection.
pub(crate) struct CpuProjection {
    weight: CpuWeight,
    bias: Parameter,
}

enum CpuWeight {
    Floats(Parameter),
    Integers(IntegerWeight),
}

impl CpuProjection {
    /// Quantizes the weight by `scheme` if there is one; parameters that are not quantized are
    /// rounded to `dtype` if their type is wider.
    pub(crate) fn load(projection: &Projection, scheme: Option<Scheme>, dtype: Dtype) -> Self {
        let view = &projection.weight;
        let weight = match scheme {
            None => CpuWeight::Floats(Parameter::load_weight(view, dtype)),
            Some(scheme) => CpuWeight::Integers(quantize(view, scheme)),
        };
        let bias = Parameter::load(&projection.bias, dtype);
        Self { weight, bias }
    }

    pub(crate) fn matrix(&self) -> WeightMatrix<'_> {
        let bias = self.bias.values();
        WeightMatrix {
            weight: match &self.weight {
                CpuWeight::Floats(weight) => Weight::Floats(weight.weight()),
                CpuWeight::Integers(weight) => Weight::Integers(weight),
            },
            bias: Some(bias),
            out_features: bias.len(),
        }
    }
}

/// Quantizes a weight and releases the checkpoint's pages, which are not read again.
fn quantize(view: &TensorView, scheme: Scheme) -> IntegerWeight {
    let in_features = view.shape().last().copied().unwrap_or_default();
    let quantize = |weight: &[f32]| IntegerWeight::quantize(weight, in_features, scheme);
    let weight = view
        .as_f32()
        .map_or_else(|| quantize(&view.to_f32()), quantize);
    view.release();
    weight
}

/// The rows `ids` of an embedding table, rounded to `dtype` if its type is wider: the table in
/// place, or a copy of these rows if they must be converted. No other row is read.
///
/// # Errors
/// If the table has no such row.
pub(crate) fn table_rows<'a>(
    table: &'a TensorView,
    ids: &'a [u32],
    dtype: Dtype,
) -> Result<TokenRows<'a>> {
    let rows = table.shape().first().copied().unwrap_or_default();
    if let Some(id) = ids.iter().find(|id| **id as usize >= rows) {
        let cause = format!("embeddings: row {id} of a table of {rows} rows");
        return Err(Error::message(Kind::Device, cause));
    }
    if let Some(values) = table.as_f32()
        && dtype == Dtype::F32
    {
        return Ok(TokenRows {
            values: values.into(),
            ids: ids.into(),
        });
    }
    let row = |id: &u32| Some(table.row(*id as usize)?.at_most(dtype).to_f32());
    let values: Vec<f32> = ids.iter().filter_map(row).flatten().collect();
    Ok(TokenRows {
        values: values.into(),
        ids: (0..ids.len() as u32).collect::<Vec<_>>().into(),
    })
}
