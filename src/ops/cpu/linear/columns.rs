//! How the outputs of a linear layer are divided among threads.

/// The fewest work items for each thread, so that a delayed thread costs little.
const ITEMS_A_THREAD: usize = 6;

/// The columns of a work item are a multiple of every level's tile.
const COLUMNS_MULTIPLE: usize = 12;

/// A run of output columns of one projection.
#[derive(Clone, Copy)]
pub(super) struct Columns {
    pub(super) projection: usize,
    pub(super) first: usize,
    pub(super) count: usize,
    /// First column in the output.
    pub(super) out_column: usize,
}

/// Cuts projections of these sizes into runs of columns, enough for all threads but no more.
pub(super) fn column_blocks(
    out_features: impl Iterator<Item = usize> + Clone,
    token_blocks: usize,
) -> Vec<Columns> {
    let runs = (ITEMS_A_THREAD * rayon::current_num_threads()).div_ceil(token_blocks.max(1));
    let all: usize = out_features.clone().sum();
    let size = all.div_ceil(runs).next_multiple_of(COLUMNS_MULTIPLE);
    let mut blocks = Vec::new();
    let mut offset = 0;
    for (projection, out_features) in out_features.enumerate() {
        for first in (0..out_features).step_by(size) {
            blocks.push(Columns {
                projection,
                first,
                count: size.min(out_features - first),
                out_column: offset + first,
            });
        }
        offset += out_features;
    }
    blocks
}
