//! Outputs of the kernels: memory that a kernel fills, not cleared first.

use std::mem::MaybeUninit;
use std::ops::Deref;

use super::threads::SharedOut;

/// f32 values in a cache line. Outputs start on one, because a register that straddles two lines
/// takes twice the time.
const LINE: usize = 16;

/// f32 values that start on a cache line.
pub(crate) struct AlignedValues {
    allocated: Vec<f32>,
    start: usize,
}

impl AlignedValues {
    /// `size` values that `kernel` writes.
    ///
    /// # Safety
    /// `kernel` must write every value.
    pub(crate) unsafe fn written_by(size: usize, kernel: impl FnOnce(SharedOut)) -> Self {
        let mut allocated: Vec<f32> = Vec::with_capacity(size + LINE);
        let room = allocated.spare_capacity_mut();
        let start = room
            .as_ptr()
            .align_offset(LINE * size_of::<f32>())
            .min(LINE);
        let end = start + size;
        room[..start].fill(MaybeUninit::new(0.0));
        kernel(SharedOut::new(&mut room[start..end]));
        // SAFETY: the values before `start` are filled, the others by the caller's promise.
        unsafe { allocated.set_len(end) }
        Self { allocated, start }
    }
}

impl Deref for AlignedValues {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.allocated[self.start..]
    }
}

/// `size` values that `kernel` writes, with any alignment.
///
/// # Safety
/// `kernel` must write every value.
pub(crate) unsafe fn written_by(size: usize, kernel: impl FnOnce(SharedOut)) -> Vec<f32> {
    let mut values: Vec<f32> = Vec::with_capacity(size);
    kernel(SharedOut::new(&mut values.spare_capacity_mut()[..size]));
    // SAFETY: the caller's promise.
    unsafe { values.set_len(size) }
    values
}
