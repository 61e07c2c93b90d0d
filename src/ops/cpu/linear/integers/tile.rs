//! The register tile in integers: some outputs by one panel of tokens, group after group.
//!
//! As in f32 (`cpu/tile.rs`), lanes run along tokens and a word of the weights is broadcast. The
//! sums of a group stay in registers; at its end they are scaled and added to what is in memory.

use super::group::WeightScale;
use super::input::IntegerPanel;
use crate::ops::cpu::simd::{Integers, Products, WORDS_STEP};
use crate::ops::cpu::tile::{TileKernel, for_each_tile, opaque};

/// Words in a cache line.
const LINE: usize = 16;

/// Some groups of some outputs: one tile, or several small ones.
#[derive(Clone, Copy)]
pub(super) struct WeightGroups<'a> {
    /// From the first tile on, `[row_words, outputs]` each.
    pub(super) words: &'a [i32],
    pub(super) row_words: usize,
    /// The first group's first word in a row.
    pub(super) first_word: usize,
    /// From the first tile on, `[row_groups, outputs]` each.
    pub(super) scales: &'a [WeightScale],
    pub(super) row_groups: usize,
    pub(super) first_group: usize,
    pub(super) outputs: usize,
    /// Words of a group; the last one may have fewer.
    pub(super) group_words: usize,
    /// Whether to prefetch the same words of the next tile into L2.
    pub(super) prefetch: bool,
}

/// `sums[output, token] (+)= Σ_group scales * Σ_k x[k, token] * weight[output, k]`, added to
/// what is there unless `first`.
///
/// # Shapes
/// `sums`: `[outputs, width]`
///
/// # Panics
/// If the slices are too short.
///
/// # Safety
/// `sums` must be writable for `outputs * width` values, and hold them unless `first`.
#[inline(always)]
pub(super) unsafe fn integer_tiles<S: Integers, P: Products<S>>(
    simd: S,
    products: P,
    panel: IntegerPanel<'_>,
    weights: WeightGroups<'_>,
    first: bool,
    sums: *mut f32,
) {
    let width = panel.width;
    let (words, groups) = (panel.words.len() / width, panel.scales.len() / width);
    assert!(words <= groups * weights.group_words && words % WORDS_STEP == 0);
    assert!(words > (groups - 1) * weights.group_words);
    assert!(weights.first_word + words <= weights.row_words);
    assert!(weights.first_group + groups <= weights.row_groups);
    assert!(weights.words.len() >= weights.outputs * weights.row_words);
    assert!(weights.scales.len() >= weights.outputs * weights.row_groups);
    let tile = IntegerTile {
        products,
        panel,
        weights,
        words,
        groups,
        first,
        sums,
    };
    // SAFETY: the assertions hold for every tile's outputs; the sums by the caller's promise.
    unsafe { for_each_tile(simd, tile, weights.outputs, width) }
}

#[derive(Clone, Copy)]
struct IntegerTile<'a, P> {
    products: P,
    panel: IntegerPanel<'a>,
    weights: WeightGroups<'a>,
    words: usize,
    groups: usize,
    first: bool,
    /// `[outputs, width]`
    sums: *mut f32,
}

impl<S: Integers, P: Products<S>> TileKernel<S> for IntegerTile<'_, P> {
    #[inline(always)]
    unsafe fn run<const VECTORS: usize, const OUTPUTS: usize>(self, simd: S, output: usize) {
        let all = self.weights;
        let first_word = output * all.row_words + all.first_word * OUTPUTS;
        let first_scale = output * all.row_groups + all.first_group * OUTPUTS;
        let tile = Self {
            weights: WeightGroups {
                words: &all.words[first_word..],
                scales: &all.scales[first_scale..],
                ..all
            },
            ..self
        };
        // SAFETY: these are the tile's words and scales; the sums are its outputs'.
        unsafe {
            let sums = self.sums.add(output * VECTORS * S::LANES);
            tile.run_groups::<S, VECTORS, OUTPUTS>(simd, sums);
        }
    }
}

impl<P> IntegerTile<'_, P> {
    /// # Safety
    /// The slices must hold the words and scales of `groups` groups and OUTPUTS
    /// outputs; `sums` must be writable for `OUTPUTS * VECTORS * LANES` values.
    #[inline(always)]
    unsafe fn run_groups<S: Integers, const VECTORS: usize, const OUTPUTS: usize>(
        self,
        simd: S,
        sums: *mut f32,
    ) where
        P: Products<S>,
    {
        let mut weights = self.weights.words.as_ptr();
        let mut panel: *const i32 = self.panel.words.as_ptr().cast();
        for group in 0..self.groups {
            // SAFETY: the group is below `groups`.
            let mut integers = unsafe { self.start::<S, VECTORS, OUTPUTS>(simd, group) };
            let group_words = self.weights.group_words;
            let words = group_words.min(self.words - group * group_words);
            // SAFETY: these words are in the group.
            unsafe { self.multiply(simd, &mut integers, panel, weights, words) }
            weights = opaque(weights.wrapping_add(words * OUTPUTS));
            panel = panel.wrapping_add(words * VECTORS * S::LANES);
            // SAFETY: the group is below `groups`; sums by the caller's promise.
            unsafe { self.finish(simd, group, integers, sums) }
        }
    }

    /// Adds the products of some words to the sums.
    ///
    /// # Safety
    /// As [`IntegerTile::run_groups`]; `panel` and `weights` must have `words` words left.
    #[inline(always)]
    unsafe fn multiply<S: Integers, const VECTORS: usize, const OUTPUTS: usize>(
        self,
        simd: S,
        integers: &mut [[S::Words; VECTORS]; OUTPUTS],
        mut panel: *const i32,
        mut weights: *const i32,
        words: usize,
    ) where
        P: Products<S>,
    {
        let products = self.products;
        let steps = words / WORDS_STEP;
        let next = if self.weights.prefetch {
            OUTPUTS * self.weights.row_words
        } else {
            0
        };
        // SAFETY: the caller's promise.
        if unsafe { products.products_loop(simd, integers, panel, weights, steps, next) } {
            return;
        }
        for _ in 0..steps {
            if next > 0 {
                for line in (0..WORDS_STEP * OUTPUTS).step_by(LINE) {
                    simd.prefetch(weights.wrapping_add(next + line).cast());
                }
            }
            // SAFETY: the caller's promise.
            unsafe {
                step::<S, P, VECTORS, OUTPUTS, 0>(simd, products, integers, panel, weights);
                step::<S, P, VECTORS, OUTPUTS, 1>(simd, products, integers, panel, weights);
                step::<S, P, VECTORS, OUTPUTS, 2>(simd, products, integers, panel, weights);
                step::<S, P, VECTORS, OUTPUTS, 3>(simd, products, integers, panel, weights);
            }
            weights = opaque(weights.wrapping_add(WORDS_STEP * OUTPUTS));
            panel = panel.wrapping_add(WORDS_STEP * VECTORS * S::LANES);
        }
    }

    /// What the products of a group are added to: zero, or the corrections of bytes.
    ///
    /// # Safety
    /// As [`IntegerTile::run_groups`]; `group` must be below `groups`.
    #[inline(always)]
    unsafe fn start<S: Integers, const VECTORS: usize, const OUTPUTS: usize>(
        self,
        simd: S,
        group: usize,
    ) -> [[S::Words; VECTORS]; OUTPUTS]
    where
        P: Products<S>,
    {
        let mut integers = [[simd.splat_word(0); VECTORS]; OUTPUTS];
        if P::PACKED <= 2 {
            return integers;
        }
        for output in 0..OUTPUTS {
            // SAFETY: output < OUTPUTS and group is below the groups.
            let correction = simd.splat_word(unsafe {
                let scales = self.weights.scales;
                let place = group * OUTPUTS + output;
                scales.get_unchecked(place).correction
            });
            integers[output] = [correction; VECTORS];
        }
        integers
    }

    /// Scales the sums of a group and adds them to `sums`.
    ///
    /// # Safety
    /// As [`IntegerTile::run_groups`]; `group` must be below `groups`.
    #[inline(always)]
    unsafe fn finish<S: Integers, const VECTORS: usize, const OUTPUTS: usize>(
        self,
        simd: S,
        group: usize,
        integers: [[S::Words; VECTORS]; OUTPUTS],
        sums: *mut f32,
    ) {
        let width = VECTORS * S::LANES;
        let mut tokens = [simd.splat(0.0); VECTORS];
        for vector in 0..VECTORS {
            // SAFETY: row `group` of the scales has VECTORS registers.
            tokens[vector] = unsafe {
                let at = self.panel.scales.as_ptr();
                simd.load(at.add(group * width + vector * S::LANES))
            };
        }
        let first = self.first && group == 0;
        for output in 0..OUTPUTS {
            // SAFETY: output < OUTPUTS and group is below the groups.
            let weight = simd.splat(unsafe {
                let scales = self.weights.scales;
                let place = group * OUTPUTS + output;
                scales.get_unchecked(place).scale
            });
            for vector in 0..VECTORS {
                let sum = simd.to_floats(integers[output][vector]);
                let sum = simd.mul(simd.mul(sum, tokens[vector]), weight);
                // SAFETY: output < OUTPUTS and vector < VECTORS, in bounds by the caller's promise.
                unsafe {
                    let to = sums.add(output * width + vector * S::LANES);
                    // Not fused: not every level has a fused multiply-add.
                    simd.store(
                        if first {
                            sum
                        } else {
                            simd.add(simd.load(to), sum)
                        },
                        to,
                    );
                }
            }
        }
    }
}

/// Adds the products of word `WORD` to every sum.
///
/// # Safety
/// As [`IntegerTile::run_groups`]; `panel` and `weights` must have more than `WORD` words left.
#[inline(always)]
unsafe fn step<
    S: Integers,
    P: Products<S>,
    const VECTORS: usize,
    const OUTPUTS: usize,
    const WORD: usize,
>(
    simd: S,
    products: P,
    integers: &mut [[S::Words; VECTORS]; OUTPUTS],
    panel: *const i32,
    weights: *const i32,
) {
    let mut tokens = [simd.splat_word(0); VECTORS];
    for vector in 0..VECTORS {
        // SAFETY: row `WORD` of the panel has VECTORS registers.
        tokens[vector] =
            unsafe { simd.load_words(panel.add((WORD * VECTORS + vector) * S::LANES)) };
    }
    // Unrolled by a macro: LLVM does not unroll a loop with this much assembly, and would keep the
    // sums in memory.
    macro_rules! outputs {
        ($($output:literal)*) => { $(
            if $output < OUTPUTS && VECTORS == 1 {
                // SAFETY: the output and the word exist, by the caller's promise.
                integers[$output][0] = unsafe {
                    products.add_products_at::<OUTPUTS, WORD, $output>(
                        simd,
                        integers[$output][0],
                        tokens[0],
                        weights,
                    )
                };
            } else if $output < OUTPUTS {
                // SAFETY: as above.
                let weight = unsafe { *weights.add(WORD * OUTPUTS + $output) };
                let weight = simd.splat_word(weight);
                for (sum, tokens) in integers[$output].iter_mut().zip(tokens) {
                    *sum = products.add_products(simd, *sum, tokens, weight);
                }
            }
        )* };
    }
    outputs!(0 1 2 3 4 5 6 7 8 9 10 11);
}
