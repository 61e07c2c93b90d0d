//! Scratch memory of a thread, aligned to cache lines.

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct CacheLine([f32; 16]);

/// A buffer that grows and is reused, with unspecified contents between uses.
#[derive(Default)]
pub(crate) struct Scratch(Vec<CacheLine>);

impl Scratch {
    /// `count` values, rounded up to whole cache lines.
    pub(crate) fn floats(&mut self, count: usize) -> &mut [f32] {
        let lines = count.div_ceil(16);
        if self.0.len() < lines {
            self.0.resize(lines, CacheLine([0.0; 16]));
        }
        // SAFETY: a CacheLine is 16 f32 without padding; the slice borrows self.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), lines * 16) }
    }
}
