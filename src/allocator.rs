//! Ends the process with a message and the device's exit code if the system has no more memory; the
//! default allocator would abort.
//!
//! Allocations fail in many places that cannot return an error, so they are handled here, once.
//! Synced records stay on disk, as after a kill.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use bert_embed::error::Kind;

pub(crate) struct AllocateOrExit;

// SAFETY: every call goes to the system's allocator with the caller's own arguments.
unsafe impl GlobalAlloc for AllocateOrExit {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        or_exit(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        or_exit(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as the caller promises.
        or_exit(unsafe { System.realloc(old, layout, new_size) }, new_size)
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(old, layout) }
    }
}

fn or_exit(memory: *mut u8, size_bytes: usize) -> *mut u8 {
    if memory.is_null() {
        exit(size_bytes);
    }
    memory
}

/// Whether a thread is already printing the message.
static IS_SAID: AtomicBool = AtomicBool::new(false);

#[cold]
fn exit(size_bytes: usize) -> ! {
    while IS_SAID.swap(true, Ordering::SeqCst) {
        // SAFETY: the call only waits. The first thread ends the process.
        unsafe {
            libc::pause();
        }
    }
    let mut message = [0; 256];
    let mut rest = &mut message[..];
    // The message is shorter than its buffer.
    let _ = write!(
        rest,
        "error: could not get {size_bytes} bytes of memory: the system has no more\n  \
         tip: use a smaller --batch-tokens, fewer --threads, or --format jsonl if it was json\n"
    );
    let unused = rest.len();
    let text = &message[..message.len() - unused];
    // SAFETY: pointer and length belong to the same slice. A closed standard error changes nothing.
    unsafe {
        libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len());
        libc::_exit(Kind::Device.exit_code().into())
    }
}
