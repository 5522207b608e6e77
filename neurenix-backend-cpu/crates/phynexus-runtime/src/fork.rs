//! What a forked child has to know: its parent's other threads are gone, and their locks must not stay taken.
//!
//! `fork` copies the calling thread only. Handlers around it (POSIX `pthread_atfork`) take the locks of the
//! memory cache, so that no other thread holds one at that moment, and release them in parent and child; in
//! the child they also forget the pool, which the next region builds anew. `vfork` and `posix_spawn` run no
//! handlers and need none.

#[cfg(all(unix, not(loom), not(miri)))]
mod handlers {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

    use crate::{memory, process};

    static GENERATION: AtomicUsize = AtomicUsize::new(0);

    const NOT_YET: u32 = 0;
    const DONE: u32 = u32::MAX;
    /// Whether the handlers are installed: `NOT_YET`, `DONE`, or the process whose thread is installing them.
    static INSTALLED: AtomicU32 = AtomicU32::new(NOT_YET);

    thread_local! {
        /// How often `before` has run in the fork under way. Twice only if a fork met an installation half
        /// done and its child installed the handlers again.
        static DEPTH: Cell<u32> = const { Cell::new(0) };
    }

    pub fn generation() -> usize {
        GENERATION.load(Ordering::Relaxed)
    }

    pub fn install() {
        if INSTALLED.load(Ordering::Acquire) != DONE {
            install_now();
        }
    }

    #[cold]
    fn install_now() {
        let this = std::process::id();
        loop {
            let state = INSTALLED.load(Ordering::Acquire);
            if state == DONE {
                return;
            }
            // Somebody else's process id: a fork met the installation half done, and the installer stayed
            // behind.
            if state != this
                && INSTALLED.compare_exchange(state, this, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            {
                break;
            }
            std::thread::yield_now();
        }
        // SAFETY: the handlers are functions of this library, which is never unloaded while they may run. The
        // call fails only for want of memory; then a fork merely is as unsafe as it was.
        unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
        INSTALLED.store(DONE, Ordering::Release);
    }

    extern "C" fn before() {
        if DEPTH.replace(DEPTH.get() + 1) == 0 {
            memory::lock_for_fork();
        }
    }

    extern "C" fn in_parent() {
        let depth = DEPTH.get() - 1;
        DEPTH.set(depth);
        if depth == 0 {
            // SAFETY: this thread took the locks in `before`.
            unsafe { memory::unlock_after_fork() };
        }
    }

    extern "C" fn in_child() {
        GENERATION.fetch_add(1, Ordering::Relaxed);
        process::forget_pool();
        in_parent();
    }
}

#[cfg(all(unix, not(loom), not(miri)))]
pub use handlers::{generation, install};

/// How many forks lie between this process and the first one that used the crate.
#[cfg(any(not(unix), loom, miri))]
pub fn generation() -> usize {
    0
}

/// Nothing forks here.
#[cfg(all(any(not(unix), miri), not(loom)))]
pub fn install() {}

/// Unwinds the child of a fork inside a region out of it: the workers, and with them their parts, are gone.
#[cold]
pub fn abandon_region() -> ! {
    panic!("the process forked inside a parallel region, which its child cannot finish");
}
