//! The progress bar: records, tokens per second and, if the size of the input is known, the time
//! left.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Instant;

use indicatif::ProgressBar;

use crate::notes;
use crate::pipeline::budget::ByteBudget;

/// The progress of a run, drawn on standard error unless it is hidden.
pub(crate) struct RunProgress {
    bar: ProgressBar,
    is_drawn: bool,
    budget: Arc<ByteBudget>,
    begun: Instant,
    tokens: u64,
}

impl RunProgress {
    /// The progress of a run over `size_bytes` of text; nothing is drawn unless `draw`.
    pub(crate) fn new(draw: bool, size_bytes: Option<u64>) -> Self {
        let template = match size_bytes {
            Some(_) => "{bar:30} {percent}% {msg} {eta} left",
            None => "{spinner} {msg} {elapsed}",
        };
        Self {
            bar: notes::bar(draw, size_bytes, template),
            is_drawn: draw,
            budget: Arc::default(),
            begun: Instant::now(),
            tokens: 0,
        }
    }

    /// The bytes in the pipeline, which the bar shows.
    pub(crate) fn budget(&self) -> Arc<ByteBudget> {
        Arc::clone(&self.budget)
    }

    /// Shows that `tokens` more are done, and `records` in all.
    pub(crate) fn show(&mut self, records: u64, tokens: usize) {
        self.tokens += tokens as u64;
        let rate = self.tokens as f64 / self.begun.elapsed().as_secs_f64().max(1e-3);
        self.bar
            .set_message(format!("{records} records, {rate:.0} tokens/s"));
        self.bar.set_position(self.budget.finished_bytes());
    }

    /// Removes the bar and prints in one line what this run has done: `texts`, tokens and time.
    pub(crate) fn finish(self, texts: u64) {
        self.bar.finish_and_clear();
        if self.is_drawn {
            let seconds = self.begun.elapsed().as_secs_f64();
            let rate = self.tokens as f64 / seconds.max(1e-3);
            notes::summary(&format!(
                "{texts} texts, {} tokens, {seconds:.1} s, {rate:.0} tokens/s",
                self.tokens
            ));
        }
    }
}

impl Drop for RunProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Whether standard error is a terminal, and the records do not go to the same one.
pub(crate) fn has_terminal(records_on_stdout: bool) -> bool {
    std::io::stderr().is_terminal() && !(records_on_stdout && std::io::stdout().is_terminal())
}
