//! The pool of this process: built at first use, rebuilt after a fork or a change of its size.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

use crate::cpus::{self, MAX_THREADS};
use crate::fork;
use crate::pool::{Owner, Pool};
use crate::region::{Worker, run_region, run_tasks};
use crate::setting::SettingError;
use crate::spin::{PATIENCE, PATIENCE_OVERSUBSCRIBED};

/// Points into an `Arc` that is never released, or is null. A pool that was replaced, or that a fork's child
/// left behind, stays allocated: another thread may just have read its address.
static POOL: AtomicPtr<Pool> = AtomicPtr::new(std::ptr::null_mut());
/// The number of threads that the pool in `POOL` was built for; it may have got fewer.
static BUILT_FOR: AtomicUsize = AtomicUsize::new(0);
/// The number of threads to use; 0 until somebody asks.
static WANTED: AtomicUsize = AtomicUsize::new(0);
static BUILDING: AtomicBool = AtomicBool::new(false);

/// The number of threads that a region has, the caller included; how many parts work is worth being cut into.
///
/// Set by [`set_threads`], else by the environment (see [`configured_threads`](crate::configured_threads); a
/// value that makes no sense is passed over here), else [`cpus_allowed`](crate::cpus_allowed). Fewer if the
/// system refuses to start them.
pub fn threads() -> usize {
    match WANTED.load(Ordering::Relaxed) {
        0 => first_threads(),
        wanted => wanted,
    }
}

#[cold]
fn first_threads() -> usize {
    let threads = cpus::configured_threads().unwrap_or_else(|_| cpus::cpus_allowed());
    match WANTED.compare_exchange(0, threads, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => threads,
        Err(wanted) => wanted,
    }
}

/// Sets the number of threads of the regions to come. Results do not depend on it.
///
/// # Errors
/// If it is not from 1 to [`MAX_THREADS`].
pub fn set_threads(threads: usize) -> Result<(), SettingError> {
    if !(1..=MAX_THREADS).contains(&threads) {
        return Err(SettingError {
            name: "threads",
            value: threads.to_string(),
            expected: format!("a whole number from 1 to {MAX_THREADS}"),
        });
    }
    WANTED.store(threads, Ordering::Relaxed);
    Ok(())
}

/// Runs `f(task)` for every task in `0..tasks` on the threads of the pool, and returns when all are done.
///
/// The calling thread takes part; each thread takes the next task when it is free, in rising order. On one
/// thread if there is one task, one thread, or if the pool is busy: inside another region, or while another
/// thread uses it. Everything that the tasks wrote is visible to the caller afterwards.
///
/// # Panics
/// With the first panic of a task, once all tasks that had begun are done; no more are begun after a panic.
pub fn parallel_for<F: Fn(usize) + Sync>(tasks: usize, f: F) {
    parallel_for_with_threads(usize::MAX, tasks, f);
}

/// [`parallel_for`] on at most `threads` threads.
///
/// # Panics
/// As `parallel_for`.
pub fn parallel_for_with_threads<F: Fn(usize) + Sync>(threads: usize, tasks: usize, f: F) {
    if threads > 1
        && tasks > 1
        && let Some(owner) = try_own()
    {
        run_tasks(&owner, threads, tasks, &f);
    } else {
        (0..tasks).for_each(f);
    }
}

/// Runs `f` once on every thread of the pool, the caller's included, and returns when all have returned.
///
/// For work in many steps: the threads stay together, and a [`Worker::barrier`] between two steps costs less
/// than a region. Serial, with one worker, when [`parallel_for`] would be.
///
/// # Panics
/// With the first panic of a worker, once all have ended. Those that wait for it at a barrier are unwound.
pub fn parallel_region<F: Fn(&Worker<'_>) + Sync>(f: F) {
    match try_own() {
        Some(owner) => run_region(&owner, &f),
        None => f(&Worker::alone()),
    }
}

/// Takes the pool, if it is free and has workers.
fn try_own() -> Option<Owner<'static>> {
    let wanted = threads();
    if wanted == 1 {
        return None;
    }
    let pool = POOL.load(Ordering::Acquire);
    if pool.is_null() || BUILT_FOR.load(Ordering::Relaxed) != wanted {
        return rebuild(wanted);
    }
    // SAFETY: pools are never released.
    unsafe { &*pool }.try_own()
}

#[cold]
fn rebuild(threads: usize) -> Option<Owner<'static>> {
    if BUILDING.swap(true, Ordering::Acquire) {
        return None;
    }
    let forks = fork::generation();
    let owner = build(threads);
    if fork::generation() == forks {
        BUILDING.store(false, Ordering::Release);
    }
    owner
}

fn build(threads: usize) -> Option<Owner<'static>> {
    fork::install();
    let old = POOL.load(Ordering::Acquire);
    if !old.is_null() {
        // SAFETY: pools are never released.
        let owner = unsafe { &*old }.try_own()?;
        if BUILT_FOR.load(Ordering::Relaxed) == threads {
            return Some(owner);
        }
        owner.shut_down();
    }
    let cpus = cpus::cpus_allowed();
    let patience = if threads > cpus { PATIENCE_OVERSUBSCRIBED } else { PATIENCE };
    let pool = start(threads - 1, patience);
    // SAFETY: the count that `into_raw` keeps is never given back.
    let pool: &'static Pool = unsafe { &*Arc::into_raw(pool) };
    let owner = pool.try_own();
    BUILT_FOR.store(threads, Ordering::Relaxed);
    POOL.store(std::ptr::from_ref(pool).cast_mut(), Ordering::Release);
    owner
}

/// A pool with so many workers.
fn start(helpers: usize, patience: std::time::Duration) -> Arc<Pool> {
    let _masked = SignalsMasked::new();
    let pool = Arc::new(Pool::new(helpers, patience));
    for index in 1..=helpers {
        let worker = Arc::clone(&pool);
        let started =
            std::thread::Builder::new().name(format!("phynexus-{index}")).spawn(move || worker.work(index));
        if started.is_err() {
            // A limit on processes or memory: use what there is.
            pool.make_do_with(index - 1);
            break;
        }
    }
    pool
}

/// In a fork's child: the workers are gone, and whoever was building a pool too.
#[cfg(all(unix, not(miri)))]
pub fn forget_pool() {
    POOL.store(std::ptr::null_mut(), Ordering::Relaxed);
    BUILDING.store(false, Ordering::Relaxed);
}

/// Keeps the process's signals away from threads started meanwhile: their handlers expect a thread of the
/// program.
struct SignalsMasked {
    #[cfg(all(unix, not(miri)))]
    before: libc::sigset_t,
}

impl SignalsMasked {
    #[cfg(all(unix, not(miri)))]
    fn new() -> Self {
        // SAFETY: a signal set is plain bits; the calls write inside the two sets.
        unsafe {
            let mut mask: libc::sigset_t = std::mem::zeroed();
            let mut before: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&mut mask);
            // A fault of the thread's own must still reach its handler, or no traceback is printed.
            for signal in
                [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT, libc::SIGTRAP]
            {
                libc::sigdelset(&mut mask, signal);
            }
            libc::pthread_sigmask(libc::SIG_SETMASK, &mask, &mut before);
            Self { before }
        }
    }

    #[cfg(not(all(unix, not(miri))))]
    fn new() -> Self {
        Self {}
    }
}

#[cfg(all(unix, not(miri)))]
impl Drop for SignalsMasked {
    fn drop(&mut self) {
        // SAFETY: `before` is the mask that this thread had.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, std::ptr::null_mut()) };
    }
}
