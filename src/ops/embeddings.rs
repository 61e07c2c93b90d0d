//! The sum of word, token-type and position embeddings, normalized.
//!
//! Source: `BertEmbeddings` in transformers, whose order of the sum is kept.

use std::borrow::Cow;

use candle_core::{DType, Device, Result, Tensor, bail};

use super::cpu::{self, Panels, SharedOut};
use super::host::HostOp;
use super::{LayerNorm, States, cuda, to_device};
use crate::checkpoint::{Dtype, TensorView};

/// The three embedding tables and their normalization.
pub struct Embeddings {
    tables: Tables,
    layer_norm: LayerNorm,
    /// What the rows are rounded to.
    dtype: Dtype,
}

/// Word `[vocab, hidden]`, position `[positions, hidden]` and token type `[types, hidden]`.
enum Tables {
    Host([TensorView; 3]),
    Device([Tensor; 3]),
}

impl Embeddings {
    /// The tables word, position and token type on `device`.
    ///
    /// # Errors
    /// Where the device has no memory for them.
    pub fn load(
        tables: [&TensorView; 3],
        layer_norm: LayerNorm,
        device: &Device,
        dtype: Dtype,
    ) -> Result<Self> {
        let tables = if device.is_cpu() {
            Tables::Host(tables.map(TensorView::clone))
        } else {
            let [word, position, token_type] = tables.map(|table| to_device(table, device, dtype));
            Tables::Device([word?, position?, token_type?])
        };
        Ok(Self {
            tables,
            layer_norm,
            dtype,
        })
    }

    /// The embedding output of each token.
    ///
    /// # Shapes
    /// three lists of `tokens` row numbers → `[tokens, hidden]`
    ///
    /// # Errors
    /// Where a number is not a row of its table, or the device fails.
    pub fn forward(
        &self,
        input_ids: &[u32],
        token_type_ids: &[u32],
        position_ids: &[u32],
    ) -> Result<States> {
        match &self.tables {
            Tables::Host(tables) => {
                self.host_forward(tables, [input_ids, position_ids, token_type_ids])
            }
            Tables::Device([word, position, token_type]) => {
                let tables = [word, token_type, position];
                let ids = [input_ids, token_type_ids, position_ids];
                let states = cuda::embeddings(tables, ids, self.layer_norm.device()?)?;
                Ok(States::new(states, input_ids.len()))
            }
        }
    }

    /// Only the rows that are asked for are touched.
    fn host_forward(&self, tables: &[TensorView; 3], ids: [&[u32]; 3]) -> Result<States> {
        let norm = self.layer_norm.host();
        let [word, position, token_type] =
            [0, 1, 2].map(|it| Rows::of(&tables[it], ids[it], self.dtype));
        let (word, position, token_type) = (word?, position?, token_type?);
        let panels = Panels {
            tokens: ids[0].len(),
            features: norm.gamma.len(),
        };
        let ids = cpu::Ids {
            input_ids: &word.ids,
            position_ids: &position.ids,
            token_type_ids: &token_type.ids,
        };
        let tables = cpu::Tables {
            word: &word.values,
            position: &position.values,
            token_type: &token_type.values,
        };
        let kernel = |_: &[f32], out: SharedOut| cpu::embeddings(ids, tables, norm, out);
        // SAFETY: the kernel writes every panel.
        let op = unsafe { HostOp::new("embeddings", panels.size(), kernel) };
        let nothing = Tensor::zeros(0, DType::F32, &Device::Cpu)?;
        let states = op.apply(&nothing, panels.shape())?;
        Ok(States::new(states, panels.tokens))
    }
}

/// Some rows of a table: the table itself in place, or where it is not computed with as it is a copy
/// of these rows.
struct Rows<'a> {
    values: Cow<'a, [f32]>,
    ids: Cow<'a, [u32]>,
}

impl<'a> Rows<'a> {
    fn of(table: &'a TensorView, ids: &'a [u32], dtype: Dtype) -> Result<Self> {
        let rows = table.shape().first().copied().unwrap_or_default();
        if let Some(id) = ids.iter().find(|id| **id as usize >= rows) {
            bail!("embeddings: row {id} of a table of {rows} rows");
        }
        if let Some(values) = table.as_f32()
            && dtype == Dtype::F32
        {
            return Ok(Self {
                values: values.into(),
                ids: ids.into(),
            });
        }
        let row = |id: &u32| Some(table.row(*id as usize)?.at_most(dtype).to_f32());
        let values: Vec<f32> = ids.iter().filter_map(row).flatten().collect();
        Ok(Self {
            values: values.into(),
            ids: (0..ids.len() as u32).collect::<Vec<_>>().into(),
        })
    }
}
