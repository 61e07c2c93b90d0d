//! Work units on rayon's current pool: one parallel region an operation.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Calls `work(scratch, unit)` once for every unit below `units`.
///
/// Threads take the next unit when they are free, so a thread that another process slows down takes
/// fewer. Each has a scratch of its own from `scratch`. One unit stays on the calling thread.
pub(crate) fn for_each_unit<T>(
    units: usize,
    scratch: impl Fn() -> T + Sync,
    work: impl Fn(&mut T, usize) + Sync,
) {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut scratch = scratch();
        loop {
            let unit = next.fetch_add(1, Ordering::Relaxed);
            if unit >= units {
                break;
            }
            work(&mut scratch, unit);
        }
    };
    fan_out(rayon::current_num_threads().min(units), &worker);
}

fn fan_out(workers: usize, worker: &(impl Fn() + Sync)) {
    if workers <= 1 {
        return worker();
    }
    let half = workers / 2;
    rayon::join(|| fan_out(workers - half, worker), || fan_out(half, worker));
}

/// An output that several units write, each its own part; nothing is in it before.
#[derive(Clone, Copy)]
pub(crate) struct SharedOut<'a> {
    start: *mut f32,
    size: usize,
    out: PhantomData<&'a mut [MaybeUninit<f32>]>,
}

// SAFETY: writing through the pointer is unsafe, and those who do promise that parts are disjoint.
unsafe impl Send for SharedOut<'_> {}
// SAFETY: as above.
unsafe impl Sync for SharedOut<'_> {}

impl<'a> SharedOut<'a> {
    pub(crate) fn new(out: &'a mut [MaybeUninit<f32>]) -> Self {
        Self {
            start: out.as_mut_ptr().cast(),
            size: out.len(),
            out: PhantomData,
        }
    }

    /// How many values there are.
    pub(crate) fn size(self) -> usize {
        self.size
    }

    /// Where value `first` is written.
    ///
    /// # Panics
    /// If `count` values from there on are not all within the output.
    #[inline(always)]
    pub(crate) fn at(self, first: usize, count: usize) -> *mut f32 {
        assert!(
            first + count <= self.size,
            "the part ends within the output"
        );
        // SAFETY: first is within the slice.
        unsafe { self.start.add(first) }
    }
}
