//! `rows` and `select`.

use super::super::oracle::values;
use super::super::panel::PanelLayout;
use super::super::rows::{rows, select};
use super::{at_each_level, to_panels, to_rows, with_threads, written};

#[test]
fn rows_are_the_tokens_in_order_and_select_takes_some() {
    at_each_level(|level| {
        for (tokens, features) in [(1, 1), (5, 33), (16, 16), (31, 12), (70, 768), (129, 37)] {
            let expected = values(tokens * features, 1);
            let x = to_panels(&expected, features);
            let panels = PanelLayout { tokens, features };
            // `written` would add padding, which rows do not have.
            let mut out = vec![std::mem::MaybeUninit::new(f32::NAN); tokens * features];
            with_threads(3, || {
                rows(&x, panels, super::SharedOut::new(&mut out));
            });
            // SAFETY: every value was initialized.
            let out: Vec<f32> = out
                .into_iter()
                .map(|it| unsafe { it.assume_init() })
                .collect();
            assert_eq!(out, expected, "{level:?} {tokens} tokens of {features}");
            let chosen: Vec<usize> = (0..tokens).step_by(3).rev().collect();
            let some = written(chosen.len(), features, |out| {
                select(&x, panels, &chosen, out);
            });
            let some = to_rows(&some, chosen.len(), features);
            for (row, token) in some.chunks_exact(features).zip(&chosen) {
                assert_eq!(
                    row,
                    &expected[token * features..][..features],
                    "{level:?} {token}"
                );
            }
        }
    });
}
