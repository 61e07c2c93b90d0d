//! From panels to rows, for the outputs of the encoder, and the selection of the pooler's tokens.

use super::layer_norm::{for_each_part, panels_of_part};
use super::panel::{PanelLayout, unpack};
use super::simd::{Kernel, Level, Simd, dispatch};
use super::threads::SharedOut;

/// Writes the tokens as rows.
///
/// # Shapes
/// `x`: panels of `[tokens, features]`, `out`: `[tokens, features]`
///
/// # Panics
/// If the size of a slice does not match its shape.
pub(crate) fn rows(x: &[f32], panels: PanelLayout, out: SharedOut<'_>) {
    assert_eq!(x.len(), panels.size(), "x is [tokens, features]");
    assert_eq!(
        out.size(),
        panels.tokens * panels.features,
        "out is [tokens, features]"
    );
    for_each_part(panels, |index| {
        let kernel = Unpack {
            x,
            panels,
            index,
            out,
        };
        dispatch(Level::current(), kernel);
    });
}

struct Unpack<'a> {
    x: &'a [f32],
    panels: PanelLayout,
    index: usize,
    out: SharedOut<'a>,
}

impl Kernel for Unpack<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let features = self.panels.features;
        for panel in panels_of_part::<S>(self.panels, self.index) {
            let to = self.out.at(panel.first * features, panel.tokens * features);
            // SAFETY: the panel's rows belong to this work item alone.
            unsafe {
                let from = &self.x[panel.start..];
                unpack(
                    simd,
                    from,
                    panel.width,
                    panel.tokens,
                    features,
                    to,
                    features,
                );
            }
        }
    }
}

/// Writes the tokens `chosen`, in their order.
///
/// # Shapes
/// `x`: panels of `[tokens, features]`, `out`: panels of `[chosen, features]`
///
/// # Panics
/// If the size of a slice does not match its shape, or a token does not exist.
pub(crate) fn select(x: &[f32], from: PanelLayout, chosen: &[usize], out: SharedOut<'_>) {
    let to = PanelLayout {
        tokens: chosen.len(),
        ..from
    };
    assert_eq!(x.len(), from.size(), "x is [tokens, features]");
    assert_eq!(out.size(), to.size(), "out is [chosen, features]");
    assert!(
        chosen.iter().all(|token| *token < from.tokens),
        "every token exists"
    );
    let kernel = Select {
        x,
        from,
        chosen,
        out,
        to,
    };
    dispatch(Level::current(), kernel);
}

struct Select<'a> {
    x: &'a [f32],
    from: PanelLayout,
    chosen: &'a [usize],
    out: SharedOut<'a>,
    to: PanelLayout,
}

impl Kernel for Select<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let features = self.from.features;
        for index in 0..self.to.count::<S>() {
            let panel = self.to.panel::<S>(index);
            let to = self.out.at(panel.start, panel.width * features);
            for lane in 0..panel.width {
                let chosen = self.chosen.get(panel.first + lane);
                let span = chosen.and_then(|&token| self.from.spans::<S>(token, 1).next());
                for feature in 0..features {
                    let value = span.map_or(0.0, |span| self.x[span.start + feature * span.width]);
                    // SAFETY: within the panel, which at() checked.
                    unsafe { to.add(feature * panel.width + lane).write(value) }
                }
            }
        }
    }
}
