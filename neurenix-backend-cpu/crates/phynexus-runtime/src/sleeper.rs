//! A place to sleep until a condition holds, which costs a waker nothing while nobody sleeps.

use crate::ordering::{ROUSE_FENCE, SLEEP_FENCE};
use crate::placement::Placement;
use crate::sync::{AtomicUsize, Condvar, Mutex, Ordering, fence, lock};

/// Where threads sleep until an atomic, changed by another thread, satisfies a condition.
///
/// Both sides store, then look: the sleeper announces itself and looks at the condition, the waker changes
/// the condition and looks for sleepers. A sequentially consistent fence between the two steps of each makes
/// it impossible that both look too early. The mutex closes the gap between the sleeper's look and its wait.
pub struct Sleeper {
    sleepers: AtomicUsize,
    mutex: Mutex<Placement>,
    condvar: Condvar,
}

impl Sleeper {
    /// A place where nobody sleeps.
    pub fn new() -> Self {
        Self { sleepers: AtomicUsize::new(0), mutex: Mutex::new(Placement::new()), condvar: Condvar::new() }
    }

    /// Sleeps until `ready` holds. Whoever makes it hold calls [`rouse`](Self::rouse) afterwards, and keeps the CPU that
    /// it runs on.
    pub fn sleep_until(&self, ready: impl Fn() -> bool) {
        let mut guard = lock(&self.mutex);
        self.sleepers.fetch_add(1, Ordering::Relaxed);
        if SLEEP_FENCE {
            fence(Ordering::SeqCst);
        }
        let mut is_placed = false;
        while !ready() {
            is_placed = is_placed || guard.enter();
            guard = self.condvar.wait(guard).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        if is_placed {
            guard.leave();
        }
        self.sleepers.fetch_sub(1, Ordering::Relaxed);
        drop(guard);
    }

    /// Wakes the sleepers, if any; to call after the store that makes their condition hold.
    pub fn rouse(&self) {
        if ROUSE_FENCE {
            fence(Ordering::SeqCst);
        }
        self.rouse_fenced();
    }

    /// [`rouse`](Self::rouse) for a caller that has already put a sequentially consistent fence after its
    /// store.
    pub fn rouse_fenced(&self) {
        if self.sleepers.load(Ordering::Relaxed) != 0 {
            // A sleeper holds the mutex from its announcement to its wait: passing through it means that
            // every sleeper we saw either waits by now, or will look at the condition after our store.
            lock(&self.mutex).steer();
            self.condvar.notify_all();
        }
    }
}
