//! Counts what chosen threads allocate.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

thread_local! {
    static COUNTED_BY: Cell<Option<&'static AtomicU64>> = const { Cell::new(None) };
}

/// Has the calling thread's allocations counted from now on, beginning with one made here, which
/// shows that they are.
pub(crate) fn count_in(counter: &'static AtomicU64) {
    COUNTED_BY.set(Some(counter));
    drop(std::hint::black_box(Box::new(0)));
}

struct Counting;

impl Counting {
    fn count() {
        // A thread that ends allocates when its thread-locals are gone already.
        if let Ok(Some(counter)) = COUNTED_BY.try_with(Cell::get) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

// SAFETY: every call is passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count();
        // SAFETY: the caller's promise, passed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;
