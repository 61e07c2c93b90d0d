//! The sum of word, token-type and position embeddings, normalized.
//!
//! Source: `BertEmbeddings` in transformers, whose order of the sum is kept.

use candle_core::{Device, Result, Tensor, bail};

use super::host::Parameter;
use super::{LayerNorm, kernel, to_device};
use crate::checkpoint::TensorView;

/// The three embedding tables and their normalization.
pub struct Embeddings {
    tables: Tables,
    layer_norm: LayerNorm,
}

/// Word `[vocab, hidden]`, position `[positions, hidden]` and token type `[types, hidden]`.
enum Tables {
    Host([Parameter; 3]),
    Device([Tensor; 3]),
}

impl Embeddings {
    /// The tables word, position and token type on `device`.
    ///
    /// # Errors
    /// Where the device has no memory for them.
    pub fn load(tables: [&TensorView; 3], layer_norm: LayerNorm, device: &Device) -> Result<Self> {
        let tables = if device.is_cpu() {
            Tables::Host(tables.map(Parameter::load))
        } else {
            let [word, position, token_type] = tables.map(|table| to_device(table, device));
            Tables::Device([word?, position?, token_type?])
        };
        Ok(Self { tables, layer_norm })
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
    ) -> Result<Tensor> {
        match &self.tables {
            Tables::Host(tables) => {
                let ids = kernel::Ids {
                    input_ids,
                    token_type_ids,
                    position_ids,
                };
                self.host_forward(tables, ids)
            }
            Tables::Device([word, position, token_type]) => {
                let rows = |table: &Tensor, ids: &[u32]| {
                    table.index_select(&Tensor::new(ids, table.device())?, 0)
                };
                let sum = (rows(word, input_ids)? + rows(token_type, token_type_ids)?)?;
                self.layer_norm
                    .device_forward(&(sum + rows(position, position_ids)?)?)
            }
        }
    }

    /// Only the rows that are asked for are touched.
    fn host_forward(&self, tables: &[Parameter; 3], ids: kernel::Ids) -> Result<Tensor> {
        let norm = self.layer_norm.host();
        let hidden = norm.gamma.len();
        let [word, position, token_type] = tables.each_ref().map(Parameter::values);
        let given = [
            (ids.input_ids, word),
            (ids.position_ids, position),
            (ids.token_type_ids, token_type),
        ];
        for (ids, table) in given {
            let rows = table.len() / hidden;
            if let Some(id) = ids.iter().find(|id| **id as usize >= rows) {
                bail!("embeddings: row {id} of a table of {rows} rows");
            }
        }
        let mut out = vec![0.0; ids.input_ids.len() * hidden];
        let tables = kernel::Tables {
            word,
            position,
            token_type,
        };
        kernel::embeddings(ids, tables, norm, hidden, &mut out);
        Tensor::from_vec(out, (ids.input_ids.len(), hidden), &Device::Cpu)
    }
}
