//! The reader's thread: texts from the input into the queue of the tokenizer.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use crate::error::Result;
use crate::input::{Text, Texts};
use crate::pipeline::budget::ByteBudget;
use crate::pipeline::types::QueuedText;

/// The most texts that wait for the tokenizer; a few hundred keep every thread busy.
pub(crate) const TEXTS_AHEAD: usize = 512;

/// Sends `texts` to `to` until the input ends or fails, or until the receiver is gone.
pub(crate) fn read(
    texts: Texts,
    to: &SyncSender<Result<QueuedText<Text>>>,
    budget: &Arc<ByteBudget>,
) {
    for item in texts.items {
        let queued = item.map(|item| QueuedText {
            permit: budget.take(item.size_bytes),
            text: item.text,
        });
        if to.send(queued).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::InputItem;
    use crate::pipeline::budget::MAX_BYTES;
    use std::sync::mpsc::sync_channel;

    #[test]
    fn the_bytes_in_the_pipeline_stay_within_the_budget() {
        const LINE_BYTES: u64 = 16 << 20;
        let line = || {
            Ok(InputItem {
                text: Ok(Text::new("x".to_owned())),
                size_bytes: LINE_BYTES,
                skipped: 0,
            })
        };
        let texts = Texts {
            items: Box::new((0..9).map(move |_| line())),
            size_bytes: None,
        };
        let budget = Arc::new(ByteBudget::default());
        let (to, from) = sync_channel(TEXTS_AHEAD);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                read(texts, &to, &budget);
                drop(to);
            });
            let mut kept = Vec::new();
            for queued in &from {
                kept.push(queued);
                let in_use = budget.bytes_in_use();
                assert!(in_use <= MAX_BYTES, "{in_use}");
                if kept.len() == 2 {
                    kept.clear();
                }
            }
        });
        assert_eq!(budget.finished_bytes(), 9 * LINE_BYTES);
    }
}
