//! A region, a block from the cache and a scratch that has grown ask no allocator for memory.
#![cfg(not(loom))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use phynexus_runtime::memory::Block;
use phynexus_runtime::scratch::with_scratch;
use phynexus_runtime::{parallel_for, parallel_region, set_threads};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: hands everything to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: by the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, address: *mut u8, layout: Layout) {
        // SAFETY: by the caller's contract.
        unsafe { System.dealloc(address, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn everything() {
    parallel_for(8, |_| {
        drop(Block::new(4096).unwrap());
        with_scratch(4096, |_| ()).unwrap();
    });
    parallel_region(|worker| {
        worker.barrier();
        worker.for_each(5, |_| ());
        with_scratch(4096, |_| ()).unwrap();
    });
    drop(Block::new(4096).unwrap());
}

// The only test of this program: another one's allocations would be counted too.
#[test]
fn nothing_is_allocated_once_warm() {
    set_threads(3).unwrap();
    for _ in 0..5 {
        everything();
    }
    // As many blocks as can be in use at once.
    drop([const { 4096 }; 8].map(|bytes| Block::new(bytes).unwrap()));
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    for round in 0..20 {
        everything();
        if round % 5 == 0 {
            // Long enough for the workers to fall asleep: waking allocates nothing either.
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed), before);
}
