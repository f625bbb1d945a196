//! An allocator that has only so much memory, so that a parser which asks for what a few bytes claim
//! ends the process instead of taking all of the machine's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What all live allocations may come to. Far more than any target's input needs, and less than one
/// absurd size in a header.
pub const MEMORY_BYTES_MAX: usize = 768 << 20;

static LIVE_BYTES: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator up to [`MEMORY_BYTES_MAX`].
pub struct Memory;

// SAFETY: every call goes to the system's allocator or fails as an allocator may.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE_BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        if live.saturating_add(layout.size()) > MEMORY_BYTES_MAX {
            LIVE_BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE_BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(memory, layout) }
    }
}
