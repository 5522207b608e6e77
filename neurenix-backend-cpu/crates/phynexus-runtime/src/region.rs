//! What runs inside a region: tasks handed out one by one, or one closure with barriers.

use std::ops::Range;

use crate::barrier::Barrier;
use crate::pool::{Attendance, Owner, Share};
use crate::sync::{AtomicUsize, Ordering, Padded};

/// Hands out `0..tasks` to whoever asks.
struct Tasks {
    next: Padded<AtomicUsize>,
}

impl Tasks {
    fn new() -> Self {
        Self { next: Padded(AtomicUsize::new(0)) }
    }

    /// Runs tasks until none is left. After a panic the others get no more.
    fn run(&self, tasks: usize, f: impl Fn(usize)) {
        struct Cancel<'a>(&'a Tasks, usize);
        impl Drop for Cancel<'_> {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    self.0.next.store(self.1, Ordering::Relaxed);
                }
            }
        }
        let _cancel = Cancel(self, tasks);
        loop {
            let task = self.next.fetch_add(1, Ordering::Relaxed);
            if task >= tasks {
                return;
            }
            f(task);
        }
    }

    /// Starts over. Nobody may be asking.
    fn reset(&self) {
        self.next.store(0, Ordering::Relaxed);
    }
}

struct For<'f, F> {
    tasks: usize,
    queue: Tasks,
    f: &'f F,
}

impl<F: Fn(usize) + Sync> Share for For<'_, F> {
    fn run(&self, _index: usize) {
        self.queue.run(self.tasks, self.f);
    }
}

/// Runs the tasks on at most `threads` threads of an owned pool.
pub fn run_tasks<F: Fn(usize) + Sync>(owner: &Owner<'_>, threads: usize, tasks: usize, f: &F) {
    let helpers = owner.helpers().min(threads.min(tasks).saturating_sub(1));
    let share = For { tasks, queue: Tasks::new(), f };
    owner.run(helpers, Attendance::Optional, &share);
}

/// What the threads of one region share.
struct Meeting {
    barrier: Barrier,
    queue: Tasks,
}

/// One thread of a [`parallel_region`](crate::parallel_region).
pub struct Worker<'r> {
    index: usize,
    count: usize,
    /// None: the region is serial.
    meeting: Option<&'r Meeting>,
}

impl Worker<'_> {
    /// The only thread of a serial region.
    #[cfg(not(loom))]
    pub(crate) fn alone() -> Worker<'static> {
        Worker { index: 0, count: 1, meeting: None }
    }

    /// Which thread of the region this is: 0 is the caller's. The same thread of the pool has the same index
    /// in every region, so that what it left in its caches is found again.
    pub fn index(&self) -> usize {
        self.index
    }

    /// How many threads the region has. Fixed from its start to its end; 1 if it is serial.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Waits until every worker of the region is here, and makes what each wrote before visible to all.
    ///
    /// Every worker has to call it equally often.
    ///
    /// # Panics
    /// If another worker has left the region: it would never come. If that worker panicked, its panic is the
    /// one that the caller of the region sees.
    pub fn barrier(&self) {
        if let Some(meeting) = self.meeting {
            meeting.barrier.wait_with(|| ());
        }
    }

    /// This worker's part of `0..total` when it is cut into `count()` contiguous, nearly equal parts.
    pub fn range(&self, total: usize) -> Range<usize> {
        let (each, more) = (total / self.count, total % self.count);
        let start = self.index * each + self.index.min(more);
        start..start + each + usize::from(self.index < more)
    }

    /// Runs `f(0..tasks)` on all workers of the region, each taking the next task when it is free, and ends
    /// with a [`barrier`](Self::barrier). Every worker has to call it, with the same number of tasks.
    ///
    /// # Panics
    /// As `barrier`.
    pub fn for_each(&self, tasks: usize, f: impl Fn(usize)) {
        match self.meeting {
            None => (0..tasks).for_each(f),
            Some(meeting) => {
                meeting.queue.run(tasks, f);
                // By the time the last one arrives nobody asks for tasks, and nobody starts before it goes
                // on.
                meeting.barrier.wait_with(|| meeting.queue.reset());
            }
        }
    }
}

struct Region<'f, F> {
    count: usize,
    meeting: Meeting,
    f: &'f F,
}

impl<F: Fn(&Worker<'_>) + Sync> Share for Region<'_, F> {
    fn run(&self, index: usize) {
        struct Leave<'a>(&'a Barrier);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.leave(std::thread::panicking());
            }
        }
        let _leave = Leave(&self.meeting.barrier);
        (self.f)(&Worker { index, count: self.count, meeting: Some(&self.meeting) });
    }
}

/// Runs `f` once on every thread of an owned pool.
pub fn run_region<F: Fn(&Worker<'_>) + Sync>(owner: &Owner<'_>, f: &F) {
    let count = owner.helpers() + 1;
    let region = Region {
        count,
        meeting: Meeting { barrier: Barrier::new(count, owner.pool().patience()), queue: Tasks::new() },
        f,
    };
    owner.run(owner.helpers(), Attendance::Required, &region);
}
