//! A work item in integers.

use std::ops::Range;

use super::super::WorkItem;
use super::input::{IntegerInput, IntegerPanel};
use super::tile::{WeightGroups, integer_tiles};
use super::weight::IntegerWeight;
use crate::ops::cpu::panel::panel_tokens;
use crate::ops::cpu::simd::{IntegerKernel, Integers, Products};

/// Words of a panel that stay in L1 (16 KB) while the weights of all outputs pass.
const PANEL_WORDS: usize = 4096;

pub(crate) struct IntegerProduct<'a> {
    pub(crate) item: WorkItem<'a>,
    pub(crate) input: &'a IntegerInput,
    /// The whole projection's.
    pub(crate) weight: &'a IntegerWeight,
}

impl IntegerKernel for IntegerProduct<'_> {
    #[inline(always)]
    fn run<S: Integers, P: Products<S>>(self, simd: S, products: P) {
        let format = self.input.format;
        let groups = format.groups(self.input.features);
        let panels = self.item.panels::<S>();
        let block = if panels.len() == 1 {
            // Weights that are read once are read in the order of memory.
            groups
        } else {
            (PANEL_WORDS / panel_tokens::<S>() / format.group_words()).max(1)
        };
        for first in (0..groups).step_by(block) {
            let groups_of_block = first..groups.min(first + block);
            for index in panels.clone() {
                for output in (0..self.item.columns.count).step_by(S::TILE_OUTPUTS) {
                    let tile = ItemTile {
                        output,
                        outputs: S::TILE_OUTPUTS.min(self.item.columns.count - output),
                        index,
                        // The first panel to use the weights prefetches those of the next outputs.
                        prefetch: index == panels.start,
                    };
                    self.multiply(simd, products, tile, groups_of_block.clone());
                    if groups_of_block.end == groups {
                        self.item.finish(simd, index, output, tile.outputs);
                    }
                }
            }
        }
    }
}

/// Some outputs of one panel, a register tile's at most.
#[derive(Clone, Copy)]
struct ItemTile {
    /// The first one in the work item.
    output: usize,
    outputs: usize,
    /// The panel's index in the batch.
    index: usize,
    prefetch: bool,
}

impl IntegerProduct<'_> {
    /// Adds the products of some groups to the sums of a tile.
    #[inline(always)]
    fn multiply<S: Integers, P: Products<S>>(
        &self,
        simd: S,
        products: P,
        tile: ItemTile,
        groups: Range<usize>,
    ) {
        let (format, features) = (self.input.format, self.input.features);
        let (row_words, row_groups) = (format.row_words(features), format.groups(features));
        let words =
            groups.start * format.group_words()..row_words.min(groups.end * format.group_words());
        let row = self.item.columns.first + tile.output;
        let weights = WeightGroups {
            words: &self.weight.words()[row * row_words..],
            row_words,
            first_word: words.start,
            scales: &self.weight.scales()[row * row_groups..],
            row_groups,
            first_group: groups.start,
            outputs: tile.outputs,
            group_words: format.group_words(),
            prefetch: tile.prefetch,
        };
        let from = self.input.panel::<S>(tile.index);
        let width = from.width;
        let panel = IntegerPanel {
            words: &from.words[words.start * width..words.end * width],
            scales: &from.scales[groups.start * width..groups.end * width],
            width,
        };
        let to = self.item.to.panel::<S>(tile.index);
        let sums = self.item.sums(to, tile.output, tile.outputs);
        // SAFETY: the sums belong to this work item alone, and are written first at group 0.
        unsafe { integer_tiles(simd, products, panel, weights, groups.start == 0, sums) }
    }
}
