//! Forks: children and grandchildren use threads and memory, whatever the parent's threads were doing.
#![cfg(all(unix, not(loom), not(miri)))]

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, MutexGuard, PoisonError};

use phynexus_runtime::memory::{Block, statistics, trim};
use phynexus_runtime::scratch::with_scratch;
use phynexus_runtime::{parallel_for, parallel_region, set_threads};

/// Tests share the process's pool, and a child has none of the other tests' threads.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    let guard = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    set_threads(3).unwrap();
    guard
}

const IN_VAIN: u32 = 30;

/// Runs `child` in a forked process. Fails if it panics, dies, or hangs for half a minute.
fn in_child(child: impl FnOnce()) {
    // SAFETY: the child runs code that needs no lock another thread may have held, which is what is tested
    // here, and leaves by _exit.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        // SAFETY: kills this process if it hangs.
        unsafe { libc::alarm(IN_VAIN) };
        let code = if catch_unwind(AssertUnwindSafe(child)).is_ok() { 0 } else { 1 };
        // SAFETY: ends the child here, without the parent's destructors.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: waits for our own child.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert_eq!(status, 0, "the child's wait status (14: it hung)");
}

/// Ends only if three threads run it at once.
fn three_threads_work() {
    let meet = Barrier::new(3);
    let ids = Mutex::new(HashSet::new());
    parallel_for(3, |_| {
        meet.wait();
        ids.lock().unwrap().insert(std::thread::current().id());
    });
    assert_eq!(ids.into_inner().unwrap().len(), 3);
    let count = AtomicUsize::new(0);
    parallel_region(|worker| {
        worker.barrier();
        count.fetch_add(worker.count(), Ordering::Relaxed);
    });
    assert_eq!(count.into_inner(), 9);
}

#[test]
fn parent_child_and_grandchild_have_pools() {
    let _alone = alone();
    three_threads_work();
    in_child(|| {
        three_threads_work();
        in_child(|| {
            three_threads_work();
            three_threads_work();
        });
        three_threads_work();
    });
    three_threads_work();
}

#[test]
fn a_child_before_the_first_region_has_a_pool() {
    let _alone = alone();
    in_child(three_threads_work);
}

#[test]
fn fork_while_another_thread_is_in_a_region() {
    let _alone = alone();
    let (inside, done) = (Barrier::new(2), Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            parallel_region(|worker| {
                if worker.index() == 0 {
                    inside.wait();
                    done.wait();
                }
                worker.barrier();
            });
        });
        inside.wait();
        in_child(three_threads_work);
        done.wait();
    });
    three_threads_work();
}

#[test]
fn fork_while_other_threads_run_regions_and_take_memory() {
    let _alone = alone();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let stop = &stop;
            scope.spawn(move || {
                let mut size = 64;
                while !stop.load(Ordering::Relaxed) {
                    drop(Block::new(size).unwrap());
                    size = if size > 1 << 20 { 64 } else { size * 2 };
                    if thread == 0 {
                        parallel_for(4, |_| drop(Block::new(4096).unwrap()));
                        trim();
                    }
                }
            });
        }
        let outcome = catch_unwind(|| {
            for _ in 0..40 {
                in_child(|| {
                    // Every list of the cache up to 4 MiB: each has a lock.
                    let mut bytes = 64;
                    while bytes < 4 << 20 {
                        drop(Block::new(bytes).unwrap());
                        bytes += bytes / 8 + 8;
                    }
                    three_threads_work();
                    trim();
                    statistics();
                });
            }
        });
        stop.store(true, Ordering::Relaxed);
        outcome.unwrap();
    });
}

#[test]
fn fork_inside_a_region_is_an_error_in_the_child() {
    let _alone = alone();
    let caller = std::thread::current().id();
    for required in [false, true] {
        let child = AtomicBool::new(false);
        let fork_once = || {
            // SAFETY: the child only leaves the region and ends.
            let pid = unsafe { libc::fork() };
            assert!(pid >= 0);
            if pid == 0 {
                // SAFETY: kills this process if it hangs.
                unsafe { libc::alarm(IN_VAIN) };
                child.store(true, Ordering::Relaxed);
            } else {
                let mut status = 0;
                // SAFETY: waits for our own child.
                assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
                assert_eq!(status, 0);
            }
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            if required {
                parallel_region(|worker| {
                    if worker.index() == 0 {
                        fork_once();
                    }
                    worker.barrier();
                });
            } else {
                let meet = Barrier::new(3);
                parallel_for(3, |_| {
                    if !child.load(Ordering::Relaxed) {
                        meet.wait();
                    }
                    if std::thread::current().id() == caller && !child.load(Ordering::Relaxed) {
                        fork_once();
                    }
                });
            }
        }));
        if child.load(Ordering::Relaxed) {
            let told = outcome.is_err_and(|payload| {
                payload.downcast_ref::<&str>().is_some_and(|text| text.contains("forked inside"))
            });
            let code = if told && catch_unwind(three_threads_work).is_ok() { 0 } else { 1 };
            // SAFETY: ends the child here.
            unsafe { libc::_exit(code) };
        }
        outcome.unwrap();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_system_that_refuses_threads_means_fewer() {
    let _alone = alone();
    in_child(|| {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
        // Room for a few stacks of 2 MiB, beside those that the parent's threads left.
        let bytes = pages * 4096 + (12 << 20);
        let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
        // SAFETY: limits this process only.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
        set_threads(200).unwrap();
        let count = AtomicUsize::new(0);
        let sum = AtomicUsize::new(0);
        for _ in 0..3 {
            parallel_region(|worker| {
                count.store(worker.count(), Ordering::Relaxed);
                worker.for_each(10, |task| _ = sum.fetch_add(task, Ordering::Relaxed));
            });
        }
        assert_eq!(sum.into_inner(), 3 * 45);
        assert!(count.into_inner() < 200);
    });
}

#[test]
fn blocks_of_the_parent_are_the_childs_too() {
    let _alone = alone();
    let block = Block::new(100_000).unwrap();
    // SAFETY: the block has the bytes.
    unsafe { block.as_ptr().write_bytes(5, 100_000) };
    let kept = with_scratch(1000, |address| address.addr()).unwrap();
    in_child(|| {
        // SAFETY: written above; the child has a copy.
        let contents = unsafe { std::slice::from_raw_parts(block.as_ptr(), 100_000) };
        assert!(contents.iter().all(|&byte| byte == 5));
        let address = block.as_ptr();
        // SAFETY: a second owner, of which the child drops one and forgets the other by ending.
        let copy = unsafe { std::ptr::read(&block) };
        drop(copy);
        assert_eq!(Block::new(100_000).unwrap().as_ptr(), address);
        assert_eq!(with_scratch(1000, |address| address.addr()).unwrap(), kept);
    });
}
