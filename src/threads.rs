//! The threads that the tokenizer, the encoder and the output formats share.
//!
//! Each run and each [`Embedder`](crate::Embedder) has its own pool. rayon's global pool is not
//! used, because the program that embeds may already have started it with another size.

use std::error::Error as _;

use crate::error::{Error, Kind, Result, io_words};

/// A pool of threads.
pub struct Threads(rayon::ThreadPool);

impl Threads {
    /// Starts `threads` threads; `None` for as many as this process has processors.
    ///
    /// # Errors
    /// [`Kind::Device`] if the system refuses the threads.
    pub fn start(threads: Option<u16>) -> Result<Self> {
        // This respects the affinity mask and the cgroup's quota; candle's own count does not.
        let available = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = threads.map_or_else(available, usize::from);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.map(Self).map_err(|cause| {
            // rayon's message repeats the system's, including its number.
            let system = cause.source().and_then(|source| source.downcast_ref());
            let words = system.map_or_else(|| cause.to_string(), io_words);
            Error::message(Kind::Device, words)
                .context(format!("could not start {threads} threads"))
                .with_tip("use fewer --threads, or raise the limit (ulimit -u, ulimit -v)")
        })
    }

    /// Runs `work` and its parallel iterators in the pool. `work` must not wait for other work in
    /// the pool: with a single thread, it would wait forever.
    pub fn install<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.0.install(work)
    }
}
