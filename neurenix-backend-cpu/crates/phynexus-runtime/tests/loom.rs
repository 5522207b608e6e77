//! Model checks of the pool's protocols: every interleaving, within bounds, and every value a weak memory may
//! yield.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test --release -p phynexus-runtime --test loom
//! ```
//!
//! To see that they can fail, weaken one ordering (the names are in `src/ordering.rs`); some test must then
//! fail:
//!
//! ```text
//! RUSTFLAGS='--cfg loom --cfg phynexus_mutation="publish"' cargo test --release -p phynexus-runtime --test loom
//! ```
#![cfg(loom)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;

use phynexus_runtime::barrier::{Abandoned, Barrier};
use phynexus_runtime::pool::{Attendance, Pool, Share};
use phynexus_runtime::region::{run_region, run_tasks};
use phynexus_runtime::sleeper::Sleeper;

/// Runs the model with at most so many switches away from a thread that could go on.
fn model(preemptions: usize, run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(run);
}

/// Plain memory, whose every access loom checks for races.
struct Cells(Vec<UnsafeCell<usize>>);

// SAFETY: loom panics on accesses that are not ordered.
unsafe impl Sync for Cells {}
// SAFETY: as above.
unsafe impl Send for Cells {}

impl Cells {
    fn new(count: usize) -> Self {
        Self((0..count).map(|_| UnsafeCell::new(0)).collect())
    }

    fn get(&self, index: usize) -> usize {
        // SAFETY: loom checks that nobody writes meanwhile.
        self.0[index].with(|value| unsafe { *value })
    }

    fn set(&self, index: usize, to: usize) {
        // SAFETY: loom checks that nobody else has access meanwhile.
        self.0[index].with_mut(|value| unsafe { *value = to });
    }
}

/// Runs `caller` beside the workers of a pool, then ends them.
fn with_pool(helpers: usize, caller: impl FnOnce(&Pool)) {
    let pool = Arc::new(Pool::new(helpers, Duration::ZERO));
    let workers: Vec<_> = (1..=helpers)
        .map(|index| {
            let pool = Arc::clone(&pool);
            thread::spawn(move || pool.work(index))
        })
        .collect();
    caller(&pool);
    pool.try_own().expect("nobody else owns the pool").shut_down();
    for worker in workers {
        worker.join().unwrap();
    }
}

/// Each thread reads what the caller wrote, and writes what the caller will read.
struct Exchange<'c> {
    given: &'c Cells,
    taken: &'c Cells,
}

impl Share for Exchange<'_> {
    fn run(&self, index: usize) {
        self.taken.set(index, self.given.get(0));
    }
}

#[test]
fn all_take_part_and_see_each_other() {
    model(3, || {
        with_pool(1, |pool| {
            let (given, taken) = (Cells::new(1), Cells::new(2));
            // The second region finds a worker that has just left the first, or sleeps.
            for round in 1..=2 {
                given.set(0, round);
                let owner = pool.try_own().unwrap();
                owner.run(1, Attendance::Required, &Exchange { given: &given, taken: &taken });
                assert_eq!((taken.get(0), taken.get(1)), (round, round));
            }
        });
    });
}

#[test]
fn two_workers_all_take_part() {
    model(2, || {
        with_pool(2, |pool| {
            let (given, taken) = (Cells::new(1), Cells::new(3));
            given.set(0, 7);
            let owner = pool.try_own().unwrap();
            owner.run(2, Attendance::Required, &Exchange { given: &given, taken: &taken });
            assert_eq!((0..3).map(|index| taken.get(index)).sum::<usize>(), 21);
        });
    });
}

#[test]
fn every_task_runs_once_though_workers_come_late() {
    model(3, || {
        with_pool(1, |pool| {
            let cells = Arc::new(Cells::new(2));
            for round in 0..2 {
                let owner = pool.try_own().unwrap();
                run_tasks(&owner, 2, 2, &|task| cells.set(task, cells.get(task) + 1));
                drop(owner);
                assert_eq!((cells.get(0), cells.get(1)), (round + 1, round + 1));
            }
        });
    });
}

#[test]
fn one_caller_at_a_time() {
    model(3, || {
        let pool = Arc::new(Pool::new(0, Duration::ZERO));
        let cells = Arc::new(Cells::new(1));
        let use_it = |pool: &Pool, cells: &Cells| {
            if let Some(_owner) = pool.try_own() {
                assert!(pool.try_own().is_none());
                cells.set(0, cells.get(0) + 1);
            }
        };
        let other = {
            let (pool, cells) = (Arc::clone(&pool), Arc::clone(&cells));
            thread::spawn(move || use_it(&pool, &cells))
        };
        use_it(&pool, &cells);
        other.join().unwrap();
        assert!((1..=2).contains(&cells.get(0)));
    });
}

#[test]
fn a_sleeper_is_woken() {
    model(5, || {
        let place = Arc::new((Sleeper::new(), AtomicUsize::new(0)));
        let other = {
            let place = Arc::clone(&place);
            // If the wake-up is lost, loom reports a deadlock.
            thread::spawn(move || place.0.sleep_until(|| place.1.load(Ordering::Relaxed) == 1))
        };
        place.1.store(1, Ordering::Relaxed);
        place.0.rouse();
        other.join().unwrap();
    });
}

#[test]
fn a_barrier_separates_steps() {
    model(3, || {
        let shared = Arc::new((Barrier::new(2, Duration::ZERO), Cells::new(2)));
        let steps = |shared: &(Barrier, Cells), index: usize| {
            let (barrier, cells) = shared;
            for step in 1..=2 {
                cells.set(index, step);
                barrier.wait_with(|| ());
                assert_eq!(cells.get(1 - index), step);
                barrier.wait_with(|| ());
            }
        };
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || steps(&shared, 1))
        };
        steps(&shared, 0);
        other.join().unwrap();
    });
}

#[test]
fn a_barrier_of_three_separates_steps() {
    model(2, || {
        let shared = Arc::new((Barrier::new(3, Duration::ZERO), Cells::new(3)));
        let steps = |shared: &(Barrier, Cells), index: usize| {
            let (barrier, cells) = shared;
            cells.set(index, 1);
            barrier.wait_with(|| ());
            assert_eq!((0..3).map(|index| cells.get(index)).sum::<usize>(), 3);
        };
        let others: Vec<_> = (1..3)
            .map(|index| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || steps(&shared, index))
            })
            .collect();
        steps(&shared, 0);
        for other in others {
            other.join().unwrap();
        }
    });
}

#[test]
fn a_complete_barrier_is_passed_though_others_leave() {
    model(4, || {
        let barrier = Arc::new(Barrier::new(2, Duration::ZERO));
        let other = {
            let barrier = Arc::clone(&barrier);
            thread::spawn(move || {
                barrier.wait_with(|| ());
                barrier.leave(false);
            })
        };
        barrier.wait_with(|| ());
        barrier.leave(false);
        other.join().unwrap();
    });
}

#[test]
fn who_waits_for_one_that_panicked_is_unwound() {
    model(4, || {
        let barrier = Arc::new(Barrier::new(2, Duration::ZERO));
        let other = {
            let barrier = Arc::clone(&barrier);
            thread::spawn(move || barrier.leave(true))
        };
        let unwound = catch_unwind(AssertUnwindSafe(|| barrier.wait_with(|| ()))).unwrap_err();
        assert!(unwound.is::<Abandoned>());
        other.join().unwrap();
    });
}

#[test]
fn steps_of_tasks_in_a_region() {
    model(2, || {
        with_pool(1, |pool| {
            let cells = Cells::new(2);
            let owner = pool.try_own().unwrap();
            run_region(&owner, &|worker| {
                worker.for_each(2, |task| cells.set(task, 1));
                worker.for_each(2, |task| cells.set(1 - task, cells.get(1 - task) + 1));
            });
            drop(owner);
            assert_eq!((cells.get(0), cells.get(1)), (2, 2));
        });
    });
}

#[test]
fn a_pool_ends_whatever_its_workers_do() {
    model(4, || with_pool(2, |_| ()));
}

#[test]
fn the_job_outlives_every_worker_inside() {
    /// Says when it is gone.
    struct Mortal {
        dead: Arc<AtomicBool>,
    }
    impl Share for Mortal {
        fn run(&self, _index: usize) {
            assert!(!self.dead.load(Ordering::Relaxed));
        }
    }
    impl Drop for Mortal {
        fn drop(&mut self) {
            self.dead.store(true, Ordering::Relaxed);
        }
    }
    model(4, || {
        with_pool(1, |pool| {
            let share = Mortal { dead: Arc::new(AtomicBool::new(false)) };
            pool.try_own().unwrap().run(1, Attendance::Optional, &share);
        });
    });
}
