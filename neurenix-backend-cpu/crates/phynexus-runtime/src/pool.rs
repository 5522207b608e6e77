//! A pool of workers: the hand-off of a region to them, and its completion.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use crate::barrier::Abandoned;
use crate::fork;
use crate::gate::{Gate, Glimpse};
use crate::ordering::ROUSE_FENCE;
use crate::sleeper::Sleeper;
use crate::spin::Spin;
use crate::sync::{AtomicBool, AtomicUsize, Mutex, Ordering, Padded, fence, lock};

/// Each thread in a region wakes at most so many others, and these the next: a large pool wakes in few steps.
/// In the model the chain is longest, so that three threads show it.
const WAKES_A_THREAD: usize = if cfg!(loom) { 1 } else { 4 };

/// The work of a region, called once by every thread inside.
pub trait Share: Sync {
    /// The part of thread `index`: 0 is the caller. May unwind.
    fn run(&self, index: usize);
}

/// A region's descriptor, on the caller's stack.
pub struct Job {
    /// Calls [`Share::run`] of the type that `share` points to.
    call: unsafe fn(*const (), usize),
    share: *const (),
    helpers: usize,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Job {
    fn new<S: Share>(share: &S, helpers: usize) -> Self {
        /// # Safety
        /// `share` points to a live `S`.
        unsafe fn call<S: Share>(share: *const (), index: usize) {
            // SAFETY: by this function's contract.
            unsafe { &*share.cast::<S>() }.run(index);
        }
        Self { call: call::<S>, share: std::ptr::from_ref(share).cast(), helpers, panic: Mutex::new(None) }
    }

    /// Runs thread `index`'s part; keeps the first panic.
    ///
    /// # Safety
    /// The share that the job was made of is alive.
    unsafe fn run(&self, index: usize) {
        // SAFETY: `call` and `share` come from one `Job::new`, and the share is alive.
        let part = AssertUnwindSafe(|| unsafe { (self.call)(self.share, index) });
        if let Err(payload) = catch_unwind(part) {
            let mut first = lock(&self.panic);
            if first.is_none() && !payload.is::<Abandoned>() {
                *first = Some(payload);
            } else {
                // Its destructor might panic in turn, in a thread that nobody watches.
                std::mem::forget(payload);
            }
        }
    }
}

/// Workers, and the state through which a caller hands them regions.
pub struct Pool {
    gate: Padded<Gate>,
    busy: Padded<AtomicBool>,
    caller: Padded<Sleeper>,
    /// Where worker `index` sleeps, at `index - 1`.
    sleepers: Box<[Padded<Sleeper>]>,
    /// How many of them have a worker.
    helpers: AtomicUsize,
    patience: Duration,
}

impl Pool {
    /// The state for so many workers beside the caller. Each runs [`work`](Self::work) on a thread of its
    /// own.
    pub fn new(helpers: usize, patience: Duration) -> Self {
        Self {
            gate: Padded(Gate::new()),
            busy: Padded(AtomicBool::new(false)),
            caller: Padded(Sleeper::new()),
            sleepers: (0..helpers).map(|_| Padded(Sleeper::new())).collect(),
            helpers: AtomicUsize::new(helpers),
            patience,
        }
    }

    /// Makes do with the first `helpers` workers. To call before the first region, when the others cannot be
    /// started.
    #[cfg(not(loom))]
    pub fn make_do_with(&self, helpers: usize) {
        self.helpers.store(helpers, Ordering::Relaxed);
    }

    /// How long a thread of this pool polls before it sleeps.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Makes this thread the pool's owner, unless it has one.
    pub fn try_own(&self) -> Option<Owner<'_>> {
        // The load first: nested calls find the pool busy, and should not take its line from the others.
        let free = !self.busy.load(Ordering::Relaxed) && !self.busy.swap(true, Ordering::Acquire);
        free.then(|| Owner { pool: self })
    }

    /// The life of worker `index` (from 1): until the pool shuts down.
    pub fn work(&self, index: usize) {
        let sleeper = &self.sleepers[index - 1];
        // No region has this number: a worker that starts while the first one is open still enters it.
        let mut seen = 0;
        loop {
            let glimpse = self.next_region(seen, sleeper);
            if glimpse.is_shutdown() {
                return;
            }
            seen = glimpse.generation();
            let Some(job) = self.gate.enter(seen) else {
                continue;
            };
            // SAFETY: we are inside, so the caller keeps the job and its share alive until we leave.
            unsafe {
                self.wake_next(index, (*job).helpers);
                (*job).run(index);
            }
            // The job may be gone after this.
            if self.gate.leave() {
                self.caller.rouse();
            }
        }
    }

    fn next_region(&self, seen: u64, sleeper: &Sleeper) -> Glimpse {
        let is_new = |glimpse: Glimpse| glimpse.generation() != seen || glimpse.is_shutdown();
        let mut spin = Spin::new(self.patience);
        loop {
            let glimpse = self.gate.look();
            if is_new(glimpse) {
                return glimpse;
            }
            if !spin.again() {
                sleeper.sleep_until(|| is_new(self.gate.look()));
            }
        }
    }

    /// Wakes those workers among `1..=helpers` that thread `index` has to wake.
    fn wake_next(&self, index: usize, helpers: usize) {
        let first = index * WAKES_A_THREAD + 1;
        if first > helpers {
            return;
        }
        if ROUSE_FENCE {
            fence(Ordering::SeqCst);
        }
        let last = helpers.min(first + WAKES_A_THREAD - 1);
        for sleeper in &self.sleepers[first - 1..last] {
            sleeper.rouse_fenced();
        }
    }

    fn wait_until_quiet(&self) {
        let mut spin = Spin::new(self.patience);
        while !self.gate.is_quiet() {
            if !spin.again() {
                self.caller.sleep_until(|| self.gate.is_quiet());
            }
        }
    }
}

/// The right to run regions on a pool, held by one thread at a time.
pub struct Owner<'p> {
    pool: &'p Pool,
}

/// Who has to take part in a region.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Attendance {
    /// The region ends without the workers that have not entered when the caller is done.
    Optional,
    /// Every worker takes part.
    Required,
}

impl<'p> Owner<'p> {
    /// How many workers the pool has beside the caller.
    pub fn helpers(&self) -> usize {
        self.pool.helpers.load(Ordering::Relaxed)
    }

    /// The pool.
    pub fn pool(&self) -> &'p Pool {
        self.pool
    }

    /// Runs one region on the caller and up to `helpers` workers. Re-raises the first panic after all have
    /// left.
    pub fn run<S: Share>(&self, helpers: usize, attendance: Attendance, share: &S) {
        debug_assert!(helpers <= self.helpers());
        let pool = self.pool;
        let forks = fork::generation();
        let job = Job::new(share, helpers);
        pool.gate.open(&job, helpers);
        pool.wake_next(0, helpers);
        // SAFETY: we hold a borrow of the share.
        unsafe { job.run(0) };
        // Until the wait is over nothing unwinds: workers may be using `job`. A fork's child has none.
        if fork::generation() != forks {
            fork::abandon_region();
        }
        if attendance == Attendance::Optional {
            pool.gate.close();
        }
        pool.wait_until_quiet();
        let first = lock(&job.panic).take();
        if let Some(payload) = first {
            resume_unwind(payload);
        }
    }

    /// Ends the workers. The pool keeps its owner for good, so that nobody uses it again.
    pub fn shut_down(self) {
        self.pool.gate.shut_down();
        fence(Ordering::SeqCst);
        for sleeper in &self.pool.sleepers {
            sleeper.rouse_fenced();
        }
        std::mem::forget(self);
    }
}

impl Drop for Owner<'_> {
    fn drop(&mut self) {
        self.pool.busy.store(false, Ordering::Release);
    }
}
