//! Regions on the process's pool: every task once, nesting, concurrency, panics, sizes.
#![cfg(not(loom))]

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use phynexus_runtime::{
    MAX_THREADS, parallel_for, parallel_for_with_threads, parallel_region, set_threads, threads,
};

const ROUNDS: usize = if cfg!(miri) { 3 } else { 300 };

/// One pool a process: tests that choose its size, or need it free, run one at a time.
fn with_threads(count: usize) -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    let guard = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    set_threads(count).unwrap();
    guard
}

fn message(run: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => payload.downcast::<&str>().unwrap().to_string(),
    }
}

#[test]
fn every_task_runs_once() {
    for count in [1, 2, 3, 7] {
        let _alone = with_threads(count);
        assert_eq!(threads(), count);
        for round in 0..ROUNDS {
            let tasks = round % 17;
            let runs: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
            parallel_for(tasks, |task| {
                runs[task].fetch_add(1, Ordering::Relaxed);
            });
            assert!(runs.iter().all(|run| run.load(Ordering::Relaxed) == 1));
        }
    }
}

#[test]
fn what_tasks_write_is_seen_afterwards() {
    let _alone = with_threads(4);
    let mut values = vec![0; 64];
    for round in 0..ROUNDS {
        let cells: Vec<_> = values.iter_mut().map(Mutex::new).collect();
        parallel_for(64, |task| **cells[task].lock().unwrap() += task + round);
    }
    let rounds: usize = (0..ROUNDS).sum();
    for (task, value) in values.into_iter().enumerate() {
        assert_eq!(value, task * ROUNDS + rounds);
    }
}

#[test]
fn tasks_do_run_on_several_threads() {
    let _alone = with_threads(3);
    let barrier = std::sync::Barrier::new(3);
    let ids = Mutex::new(HashSet::new());
    // Ends only if three threads are in it at once.
    parallel_for(3, |_| {
        barrier.wait();
        ids.lock().unwrap().insert(std::thread::current().id());
    });
    assert_eq!(ids.into_inner().unwrap().len(), 3);
}

#[test]
fn a_limit_on_threads_is_kept() {
    let _alone = with_threads(4);
    for limit in [0, 1, 2] {
        let ids = Mutex::new(HashSet::new());
        parallel_for_with_threads(limit, 50, |_| {
            std::thread::yield_now();
            ids.lock().unwrap().insert(std::thread::current().id());
        });
        assert!(ids.into_inner().unwrap().len() <= limit.max(1));
    }
}

#[test]
fn nested_calls_are_serial() {
    let _alone = with_threads(4);
    let total = AtomicUsize::new(0);
    parallel_for(8, |_| {
        let here = std::thread::current().id();
        parallel_for(5, |_| {
            assert_eq!(std::thread::current().id(), here);
            total.fetch_add(1, Ordering::Relaxed);
        });
        parallel_region(|worker| {
            assert_eq!((worker.index(), worker.count()), (0, 1));
            worker.barrier();
            worker.for_each(3, |_| {
                total.fetch_add(1, Ordering::Relaxed);
            });
        });
    });
    assert_eq!(total.into_inner(), 8 * (5 + 3));
}

#[test]
fn threads_that_arrive_together_all_finish() {
    let _alone = with_threads(3);
    let total = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    parallel_for(6, |_| {
                        total.fetch_add(1, Ordering::Relaxed);
                    });
                }
            });
        }
    });
    assert_eq!(total.into_inner(), 4 * ROUNDS * 6);
}

#[test]
fn a_second_caller_never_waits_for_the_first() {
    let _alone = with_threads(2);
    let (inside, done) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            parallel_region(|worker| {
                if worker.index() == 0 {
                    inside.wait();
                    done.wait();
                }
            });
        });
        inside.wait();
        let total = AtomicUsize::new(0);
        parallel_for(10, |_| {
            total.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(total.into_inner(), 10);
        done.wait();
    });
}

#[test]
fn a_panic_of_a_task_reaches_the_caller_and_the_pool_goes_on() {
    let _alone = with_threads(3);
    for round in 0..ROUNDS.min(30) {
        let begun = AtomicUsize::new(0);
        let ended = AtomicUsize::new(0);
        let text = message(|| {
            parallel_for(20, |task| {
                begun.fetch_add(1, Ordering::Relaxed);
                if task == round % 20 {
                    std::panic::resume_unwind(Box::new(format!("task {task}")));
                }
                ended.fetch_add(1, Ordering::Relaxed);
            });
        });
        assert_eq!(text, format!("task {}", round % 20));
        assert_eq!(begun.into_inner(), ended.into_inner() + 1);
        parallel_for(4, |_| ());
    }
}

#[test]
fn workers_of_a_region_have_indices_and_ranges() {
    for count in [1, 2, 5] {
        let _alone = with_threads(count);
        let seen: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
        let covered: Vec<AtomicUsize> = (0..13).map(|_| AtomicUsize::new(0)).collect();
        let caller = std::thread::current().id();
        parallel_region(|worker| {
            assert_eq!(worker.count(), count);
            assert_eq!(worker.index() == 0, std::thread::current().id() == caller);
            seen[worker.index()].fetch_add(1, Ordering::Relaxed);
            for item in worker.range(13) {
                covered[item].fetch_add(1, Ordering::Relaxed);
            }
        });
        assert!(seen.iter().chain(&covered).all(|count| count.load(Ordering::Relaxed) == 1));
    }
}

#[test]
fn an_index_stays_with_its_thread() {
    let _alone = with_threads(3);
    let ids = [const { Mutex::new(None) }; 3];
    for _ in 0..ROUNDS.min(50) {
        parallel_region(|worker| {
            let id = std::thread::current().id();
            assert_eq!(*ids[worker.index()].lock().unwrap().get_or_insert(id), id);
        });
    }
}

#[test]
fn barriers_separate_steps() {
    for count in [2, 3, 6] {
        let _alone = with_threads(count);
        let cells: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
        parallel_region(|worker| {
            for step in 0..ROUNDS {
                // Relaxed on purpose: the barrier has to order it.
                cells[worker.index()].store(step + 1, Ordering::Relaxed);
                worker.barrier();
                assert!(cells.iter().all(|cell| cell.load(Ordering::Relaxed) == step + 1));
                worker.barrier();
            }
        });
    }
}

#[test]
fn steps_of_tasks_follow_one_another() {
    let _alone = with_threads(3);
    let cells: Vec<AtomicUsize> = (0..10).map(|_| AtomicUsize::new(0)).collect();
    parallel_region(|worker| {
        for step in 0..ROUNDS {
            worker.for_each(cells.len(), |task| {
                let other = &cells[(task + 3) % cells.len()];
                let now = other.load(Ordering::Relaxed);
                assert!(now == step || now == step + 1);
                cells[task].fetch_add(1, Ordering::Relaxed);
            });
            assert!(cells.iter().all(|cell| cell.load(Ordering::Relaxed) == step + 1));
            worker.barrier();
        }
    });
}

#[test]
fn a_panic_in_a_region_frees_those_who_wait() {
    let _alone = with_threads(4);
    for round in 0..ROUNDS.min(20) {
        let text = message(|| {
            parallel_region(|worker| {
                worker.barrier();
                if worker.index() == round % 4 {
                    std::panic::resume_unwind(Box::new("one of them"));
                }
                worker.for_each(8, |_| ());
                worker.barrier();
                unreachable!("the barrier cannot be complete");
            });
        });
        assert_eq!(text, "one of them");
    }
    let count = AtomicUsize::new(0);
    parallel_region(|worker| {
        worker.barrier();
        count.fetch_add(1, Ordering::Relaxed);
    });
    assert_eq!(count.into_inner(), 4);
}

#[test]
fn a_worker_that_skips_a_barrier_is_a_panic() {
    let _alone = with_threads(3);
    let text = message(|| {
        parallel_region(|worker| {
            if worker.index() != 1 {
                worker.barrier();
            }
        });
    });
    assert!(text.contains("barrier"), "{text}");
}

#[cfg(all(unix, not(miri)))]
#[test]
fn workers_leave_signals_to_the_program() {
    let _alone = with_threads(3);
    let blocks = |signal| {
        // SAFETY: a signal set is plain bits; the calls write inside it.
        unsafe {
            let mut mask: libc::sigset_t = std::mem::zeroed();
            libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &mut mask);
            libc::sigismember(&mask, signal) == 1
        }
    };
    parallel_region(|worker| {
        assert_eq!(blocks(libc::SIGINT), worker.index() != 0);
        assert!(!blocks(libc::SIGSEGV));
    });
}

#[test]
fn the_size_may_change_between_and_inside_regions() {
    let _alone = with_threads(2);
    for count in [3, 1, 4, 4, 2] {
        parallel_for(4, |_| set_threads(count).unwrap());
        let counts = Mutex::new(Vec::new());
        parallel_region(|worker| counts.lock().unwrap().push(worker.count()));
        assert_eq!(counts.into_inner().unwrap(), vec![count; count]);
    }
    for nonsense in [0, MAX_THREADS + 1] {
        let error = set_threads(nonsense).unwrap_err();
        assert!(error.to_string().contains(&nonsense.to_string()));
    }
    assert_eq!(threads(), 2);
}
