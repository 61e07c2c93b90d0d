//! The embeddings: the sum of a row of each table, normalized, and in some models projected.
//!
//! Source: `BertEmbeddings`, `RobertaEmbeddings`, `ErnieEmbeddings`, `ElectraModel` and
//! `AlbertTransformer` in transformers.

use super::{Batch, Loader};
use crate::error::Result;
use crate::ops::{Activation, Backend, LinearRole};
use crate::weights::names::{self, ModuleTensors};

/// The embedding tables, and the linear layer that follows if they are narrower than the layers.
pub(super) struct Embeddings<B: Backend> {
    tables: B::Embeddings,
    /// Which ids choose the rows of each table.
    ids: Vec<Ids>,
    padding_idx: Option<u32>,
    projection: Option<B::Linear>,
}

/// The ids that choose a table's rows.
#[derive(Clone, Copy)]
enum Ids {
    Input,
    TokenType,
    Position,
    TaskType,
}

/// All tables, in the order in which transformers adds their rows.
const TABLES: [(ModuleTensors, Ids); 4] = [
    (names::WORD_EMBEDDINGS, Ids::Input),
    (names::TOKEN_TYPE_EMBEDDINGS, Ids::TokenType),
    (names::POSITION_EMBEDDINGS, Ids::Position),
    (names::TASK_TYPE_EMBEDDINGS, Ids::TaskType),
];

impl<B: Backend> Embeddings<B> {
    pub(super) fn load(loader: &Loader<B>) -> Result<Self> {
        let config = loader.config;
        let tables = TABLES.iter().filter(|(table, _)| table.is_in(config));
        let views: Result<Vec<_>> = tables
            .clone()
            .map(|(table, _)| loader.weight("", *table))
            .collect();
        let norm = loader.norm("", names::EMBEDDINGS_NORM)?;
        let project = || {
            let projection = [names::EMBEDDINGS_PROJECTION];
            loader.linear("", &projection, LinearRole::Embeddings)
        };
        Ok(Self {
            tables: loader.backend.load_embeddings(&views?, &norm)?,
            ids: tables.map(|(_, ids)| *ids).collect(),
            padding_idx: config.padding_idx,
            projection: config.projects_embeddings.then(project).transpose()?,
        })
    }

    /// # Shapes
    /// → `[tokens, hidden]`
    pub(super) fn forward(&self, batch: &Batch) -> Result<B::HiddenStates> {
        let position_ids = position_ids(batch, self.padding_idx);
        // Task 0, transformers' default.
        let task_type_ids = vec![0; batch.input_ids.len()];
        let ids = self.ids.iter().map(|ids| match ids {
            Ids::Input => &batch.input_ids,
            Ids::TokenType => &batch.token_type_ids,
            Ids::Position => &position_ids,
            Ids::TaskType => &task_type_ids,
        });
        let ids: Vec<&[u32]> = ids.map(Vec::as_slice).collect();
        let embeddings = B::embeddings(&self.tables, &ids)?;
        match &self.projection {
            None => Ok(embeddings),
            Some(projection) => B::linear(projection, &embeddings, Activation::None),
        }
    }
}

/// The position of each token in its sequence: from 0, or from the one after `padding_idx` without
/// tokens that have this id, whose position it is (`create_position_ids_from_input_ids`).
fn position_ids(batch: &Batch, padding_idx: Option<u32>) -> Vec<u32> {
    let mut position_ids = Vec::with_capacity(batch.input_ids.len());
    for sequence in &batch.sequences {
        let input_ids = &batch.input_ids[sequence.start..][..sequence.tokens];
        let Some(padding) = padding_idx else {
            position_ids.extend(0..input_ids.len() as u32);
            continue;
        };
        let mut last = padding;
        position_ids.extend(input_ids.iter().map(|&id| {
            last += u32::from(id != padding);
            if id == padding { padding } else { last }
        }));
    }
    position_ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_from_zero_or_after_the_padding() {
        let mut batch = Batch::default();
        batch.push(&[5, 1, 6, 1], &[0; 4], 4);
        batch.push(&[7], &[0], 1);
        assert_eq!(position_ids(&batch, None), [0, 1, 2, 3, 0]);
        // transformers 5.23: create_position_ids_from_input_ids([[5, 1, 6, 1]], padding_idx=1)
        assert_eq!(position_ids(&batch, Some(1)), [2, 1, 3, 1, 2]);
    }
}
