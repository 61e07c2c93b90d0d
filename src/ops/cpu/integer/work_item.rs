//! The multiplication of one unit: a run of panels against a run of columns.

use super::super::linear::{Columns, finish};
use super::super::panel::{PanelLayout, panel_tokens};
use super::super::simd::{IntegerKernel, Integers, Products};
use super::super::threads::SharedOut;
use super::IntegerMatrix;
use super::input::IntegerInput;
use super::tile::{PanelGroups, WeightGroups, integer_tiles};
use crate::ops::Activation;

/// Words of a panel that stay in L1 (16 KB) while the weights of all outputs pass.
const PANEL_WORDS: usize = 4096;

/// One unit of work.
pub(super) struct IntegerWorkItem<'a> {
    pub(super) input: &'a IntegerInput,
    /// The unit's tokens: whole panels.
    pub(super) first_token: usize,
    pub(super) tokens: usize,
    pub(super) projection: IntegerMatrix<'a>,
    pub(super) columns: Columns,
    pub(super) activation: Activation,
    pub(super) out: SharedOut<'a>,
    pub(super) to: PanelLayout,
}

impl IntegerKernel for IntegerWorkItem<'_> {
    #[inline(always)]
    fn run<S: Integers, P: Products<S>>(self, simd: S, products: P) {
        let format = self.input.format;
        let groups = format.groups(self.input.features);
        let panels = self.panels::<S>();
        let block = if panels.len() == 1 {
            // Weights that are read once are read as they lie.
            groups
        } else {
            (PANEL_WORDS / panel_tokens::<S>() / format.group_words()).max(1)
        };
        for first in (0..groups).step_by(block) {
            let groups_of_block = first..groups.min(first + block);
            for index in panels.clone() {
                for output in (0..self.columns.count).step_by(S::TILE_OUTPUTS) {
                    let outputs = S::TILE_OUTPUTS.min(self.columns.count - output);
                    let tile = UnitTile {
                        output,
                        outputs,
                        index,
                        // The first panel to use the weights fetches those of the next outputs.
                        prefetch: index == panels.start,
                    };
                    self.multiply(simd, products, tile, groups_of_block.clone());
                    if groups_of_block.end == groups {
                        self.finish(simd, tile);
                    }
                }
            }
        }
    }
}

/// Some outputs of one panel, a register tile's at most.
#[derive(Clone, Copy)]
struct UnitTile {
    /// The first one in the unit.
    output: usize,
    outputs: usize,
    /// The panel's place among all.
    index: usize,
    prefetch: bool,
}

impl IntegerWorkItem<'_> {
    /// The unit's panels by their place among all.
    #[inline(always)]
    fn panels<S: Integers>(&self) -> std::ops::Range<usize> {
        let tokens = panel_tokens::<S>();
        self.first_token / tokens..(self.first_token + self.tokens).div_ceil(tokens)
    }

    /// Where the tile's sums begin in the output.
    #[inline(always)]
    fn sums<S: Integers>(&self, tile: UnitTile) -> (*mut f32, usize) {
        let to = self.to.panel::<S>(tile.index);
        let column = self.columns.out_column + tile.output;
        let size = tile.outputs * to.width;
        (self.out.at(to.start + column * to.width, size), to.width)
    }

    /// Adds the products of some groups to the sums of a tile.
    #[inline(always)]
    fn multiply<S: Integers, P: Products<S>>(
        &self,
        simd: S,
        products: P,
        tile: UnitTile,
        groups: std::ops::Range<usize>,
    ) {
        let (format, features) = (self.input.format, self.input.features);
        let (row_words, row_groups) = (format.row_words(features), format.groups(features));
        let words =
            groups.start * format.group_words()..row_words.min(groups.end * format.group_words());
        let row = self.columns.first + tile.output;
        let weight = self.projection.weight;
        let weights = WeightGroups {
            words: &weight.words()[row * row_words..],
            row_words,
            first_word: words.start,
            scales: &weight.scales()[row * row_groups..],
            row_groups,
            first_group: groups.start,
            outputs: tile.outputs,
            group_words: format.group_words(),
            prefetch: tile.prefetch,
        };
        let (panel, from) = self.input.panel::<S>(tile.index);
        let width = panel.width;
        let of_groups = groups.start * width..groups.end * width;
        let panel = PanelGroups {
            words: &from.words[words.start * width..words.end * width],
            scales: &from.scales[of_groups.clone()],
            corrections: from.corrections.get(of_groups).unwrap_or_default(),
            width,
        };
        let first = groups.start == 0;
        let (sums, _) = self.sums::<S>(tile);
        // SAFETY: the sums are this unit's own, and written from the first group on.
        unsafe { integer_tiles(simd, products, panel, weights, first, sums) }
    }

    /// Adds the bias and applies the activation, in place.
    #[inline(always)]
    fn finish<S: Integers>(&self, simd: S, tile: UnitTile) {
        let (sums, width) = self.sums::<S>(tile);
        // SAFETY: the sums are this unit's own, and all of them are written.
        let sums = unsafe { std::slice::from_raw_parts_mut(sums, tile.outputs * width) };
        for (output, sums) in (tile.output..).zip(sums.chunks_exact_mut(width)) {
            let bias = self.projection.bias;
            let bias = bias.map_or(0.0, |bias| bias[self.columns.first + output]);
            finish(simd, self.activation, simd.splat(bias), sums);
        }
    }
}
