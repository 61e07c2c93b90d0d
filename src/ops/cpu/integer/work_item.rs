//! The multiplication of one unit: a run of panels against a run of columns.

use super::super::linear::{Columns, finish};
use super::super::panel::{Panel, PanelLayout, panel_tokens};
use super::super::simd::{IntegerKernel, Integers, Products};
use super::super::threads::SharedOut;
use super::IntegerMatrix;
use super::input::IntegerInput;
use super::tile::{PanelGroups, WeightGroups, integer_tiles};
use crate::ops::Activation;

/// Words of a row that a tile goes through before the next panel: its weights (12 KB) stay in L1.
const WORDS_BLOCK: usize = 256;

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
        let block = (WORDS_BLOCK / format.group_words()).max(1);
        for output in (0..self.columns.count).step_by(S::TILE_OUTPUTS) {
            let outputs = S::TILE_OUTPUTS.min(self.columns.count - output);
            for first in (0..groups).step_by(block) {
                let groups = first..groups.min(first + block);
                self.multiply(simd, products, output, outputs, groups);
            }
            self.finish(simd, output, outputs);
        }
    }
}

impl IntegerWorkItem<'_> {
    /// The unit's panels by their place among all.
    #[inline(always)]
    fn panels<S: Integers>(&self) -> std::ops::Range<usize> {
        let tokens = panel_tokens::<S>();
        self.first_token / tokens..(self.first_token + self.tokens).div_ceil(tokens)
    }

    /// Where the columns from `output` on of a panel begin in the output, and their values.
    #[inline(always)]
    fn sums(&self, to: Panel, output: usize, outputs: usize) -> *mut f32 {
        let column = self.columns.out_column + output;
        self.out
            .at(to.start + column * to.width, outputs * to.width)
    }

    /// Adds the products of some groups to the sums of all panels.
    #[inline(always)]
    fn multiply<S: Integers, P: Products<S>>(
        &self,
        simd: S,
        products: P,
        output: usize,
        outputs: usize,
        groups: std::ops::Range<usize>,
    ) {
        let (format, features) = (self.input.format, self.input.features);
        let (row_words, row_groups) = (format.row_words(features), format.groups(features));
        let words =
            groups.start * format.group_words()..row_words.min(groups.end * format.group_words());
        let row = self.columns.first + output;
        let weight = self.projection.weight;
        let row_group = row * row_groups + groups.start;
        let weights = WeightGroups {
            words: &weight.words()[row * row_words + words.start..],
            row_words,
            scales: &weight.scales()[row_group..],
            row_groups,
            outputs,
            group_words: format.group_words(),
            prefetch: S::TILE_OUTPUTS * row_words,
        };
        let panels = self.panels::<S>();
        for index in panels.clone() {
            let (panel, from) = self.input.panel::<S>(index);
            let width = panel.width;
            let of_groups = groups.start * width..groups.end * width;
            let panel = PanelGroups {
                words: &from.words[words.start * width..words.end * width],
                scales: &from.scales[of_groups.clone()],
                corrections: from.corrections.get(of_groups).unwrap_or_default(),
                width,
            };
            // The first panel to use these weights fetches the next outputs' ones.
            let prefetch = if index == panels.start {
                weights.prefetch
            } else {
                0
            };
            let weights = WeightGroups {
                prefetch,
                ..weights
            };
            let first = groups.start == 0;
            let sums = self.sums(self.to.panel::<S>(index), output, outputs);
            // SAFETY: the sums are this unit's own, and written from the first group on.
            unsafe { integer_tiles(simd, products, panel, weights, first, sums) }
        }
    }

    /// Adds the bias and applies the activation, in place.
    #[inline(always)]
    fn finish<S: Integers>(&self, simd: S, output: usize, outputs: usize) {
        for index in self.panels::<S>() {
            let to = self.to.panel::<S>(index);
            // SAFETY: the sums are this unit's own, and all of them are written.
            let sums = unsafe {
                std::slice::from_raw_parts_mut(self.sums(to, output, outputs), outputs * to.width)
            };
            for (output, sums) in (output..).zip(sums.chunks_exact_mut(to.width)) {
                let bias = self.projection.bias;
                let bias = bias.map_or(0.0, |bias| bias[self.columns.first + output]);
                finish(simd, self.activation, simd.splat(bias), sums);
            }
        }
    }
}
