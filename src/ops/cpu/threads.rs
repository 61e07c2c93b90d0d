//! Work items on rayon's current pool: one parallel region per operation.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Calls `work(scratch, item)` for each of `items` work items.
///
/// A free thread takes the next work item, so a thread that is slowed down takes fewer. `scratch`
/// makes the memory of each thread. A single work item stays on the calling thread.
pub(crate) fn for_each_item<T>(
    items: usize,
    scratch: impl Fn() -> T + Sync,
    work: impl Fn(&mut T, usize) + Sync,
) {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut scratch = scratch();
        loop {
            let item = next.fetch_add(1, Ordering::Relaxed);
            if item >= items {
                break;
            }
            work(&mut scratch, item);
        }
    };
    fan_out(rayon::current_num_threads().min(items), &worker);
}

fn fan_out(workers: usize, worker: &(impl Fn() + Sync)) {
    if workers <= 1 {
        return worker();
    }
    let half = workers / 2;
    rayon::join(|| fan_out(workers - half, worker), || fan_out(half, worker));
}

/// An uninitialized output that several work items write, each its own part.
#[derive(Clone, Copy)]
pub(crate) struct SharedOut<'a> {
    start: *mut f32,
    size: usize,
    out: PhantomData<&'a mut [MaybeUninit<f32>]>,
}

// SAFETY: writing through the pointer is unsafe, and callers promise that their parts are disjoint.
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

    pub(crate) fn size(self) -> usize {
        self.size
    }

    /// A pointer to value `first`.
    ///
    /// # Panics
    /// If the `count` values from there on are not all in the output.
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
