//! Parameters in memory: the checkpoint's own bytes, if the kernels can read them.

use super::embeddings::TokenRows;
use super::linear::{Weight, WeightMatrix};
use crate::error::{Error, Kind, Result};
use crate::ops::Projection;
use crate::weights::{Dtype, TensorView};

/// A parameter in f32.
pub(crate) enum Parameter {
    /// The checkpoint's own bytes.
    Mapped(TensorView),
    /// Converted from half precision.
    Converted(Vec<f32>),
}

impl Parameter {
    /// `view` rounded to `dtype` if its type is wider.
    pub(crate) fn load(view: &TensorView, dtype: Dtype) -> Self {
        let view = view.at_most(dtype);
        match view.as_f32() {
            Some(_) => Self::Mapped(view),
            None => Self::Converted(view.to_f32()),
        }
    }

    /// The numbers in the order of the checkpoint.
    pub(crate) fn values(&self) -> &[f32] {
        match self {
            // Mapped parameters are f32, see `load`.
            Self::Mapped(view) => view.as_f32().unwrap_or_default(),
            Self::Converted(values) => values,
        }
    }
}

/// The weight and the bias of one projection.
pub(crate) struct ProjectionParameters {
    weight: MatrixParameter,
    bias: Parameter,
}

/// A weight as the kernels read it.
enum MatrixParameter {
    /// As it is stored: in one of the three types, aligned for them.
    InPlace(TensorView),
    /// Copied as f32, because the checkpoint does not align it.
    Copied(Vec<f32>),
}

impl ProjectionParameters {
    /// The parameters, rounded to `dtype` if their type is wider.
    pub(crate) fn load(projection: &Projection, dtype: Dtype) -> Self {
        let view = projection.weight.at_most(dtype);
        let weight = match in_place(&view) {
            Some(_) => MatrixParameter::InPlace(view),
            None => MatrixParameter::Copied(view.to_f32()),
        };
        let bias = Parameter::load(&projection.bias, dtype);
        Self { weight, bias }
    }

    /// The kernel's view of them.
    pub(crate) fn get(&self) -> WeightMatrix<'_> {
        let weight = match &self.weight {
            // Weights in place can be read in place, see `load`.
            MatrixParameter::InPlace(view) => in_place(view).unwrap_or(Weight::F32(&[])),
            MatrixParameter::Copied(weight) => Weight::F32(weight),
        };
        let bias = self.bias.values();
        WeightMatrix {
            weight,
            bias: Some(bias),
            out_features: bias.len(),
        }
    }
}

fn in_place(view: &TensorView) -> Option<Weight<'_>> {
    None.or_else(|| view.as_f32().map(Weight::F32))
        .or_else(|| view.as_f16().map(Weight::F16))
        .or_else(|| view.as_bf16().map(Weight::Bf16))
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
