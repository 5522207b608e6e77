//! The cache's locks around a fork: its child would wait forever for one that another thread held.

use std::cell::UnsafeCell;
use std::sync::MutexGuard;

use super::cache::{FreeList, lock};
use super::size_class::COUNT;

/// The locks that a fork under way holds.
struct HeldForFork(UnsafeCell<Option<[MutexGuard<'static, FreeList>; COUNT]>>);

// SAFETY: only the thread that holds all locks of the cache touches the cell.
unsafe impl Sync for HeldForFork {}

static HELD: HeldForFork = HeldForFork(UnsafeCell::new(None));

/// Takes every lock, so that no other thread is inside the cache while the process forks.
pub fn lock_for_fork() {
    // Every other code holds one lock at a time, so the order does not matter; two forks take them in the
    // same.
    let guards = std::array::from_fn(lock);
    // SAFETY: we hold all locks.
    unsafe { *HELD.0.get() = Some(guards) };
}

/// Gives back the locks after a fork, in the parent and in the child.
///
/// # Safety
/// This thread called [`lock_for_fork`], or is the child's copy of the thread that did.
pub unsafe fn unlock_after_fork() {
    // SAFETY: we hold all locks. They are let go only after the cell is left: another thread may fork next.
    let guards = unsafe { (*HELD.0.get()).take() };
    drop(guards);
}
