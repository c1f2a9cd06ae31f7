//! An allocator that counts, per thread: two additions to a thread-local, which no figure shows.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<i64> = const { Cell::new(0) };
}

/// What some code allocated on this thread.
#[derive(Clone, Copy, Debug)]
pub struct Allocated {
    /// How often it asked for memory, growing included.
    pub count: u64,
    /// The bytes that it asked for, less those that it gave back.
    pub bytes: i64,
}

/// Counts what `work` allocates on this thread.
pub fn allocated<T>(work: impl FnOnce() -> T) -> (Allocated, T) {
    let before = (COUNT.get(), BYTES.get());
    let result = work();
    (Allocated { count: COUNT.get() - before.0, bytes: BYTES.get() - before.1 }, result)
}

fn count(allocations: u64, bytes: i64) {
    COUNT.set(COUNT.get() + allocations);
    BYTES.set(BYTES.get() + bytes);
}

/// A layout has at most `isize::MAX` bytes.
fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

// SAFETY: every call is the system allocator's, with the same arguments; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, signed(layout.size()));
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, signed(layout.size()));
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, signed(size) - signed(layout.size()));
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, -signed(layout.size()));
        unsafe { System.dealloc(pointer, layout) }
    }
}
