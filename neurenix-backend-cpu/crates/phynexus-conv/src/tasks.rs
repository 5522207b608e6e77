//! Hands tasks out to threads.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use phynexus_runtime::parallel_for_with_threads;

use crate::memory::{OutOfMemory, Plain, with_scratch};
use crate::split::part;

/// Tasks that are one thread's until another has none of its own left.
#[repr(align(128))]
struct Queue {
    next: AtomicUsize,
    end: usize,
}

impl Queue {
    fn of(tasks: Range<usize>) -> Self {
        Self { next: AtomicUsize::new(tasks.start), end: tasks.end }
    }

    fn take(&self) -> Option<usize> {
        // Not beyond the end again and again, for the counter must not run over.
        if self.next.load(Ordering::Relaxed) >= self.end {
            return None;
        }
        let task = self.next.fetch_add(1, Ordering::Relaxed);
        (task < self.end).then_some(task)
    }
}

/// Runs `f(task, scratch)` for every task, on at most `threads` threads; each call has scratch of `len` elements, whose
/// contents are undefined, to itself.
///
/// The first thread begins with the first tasks, the second in the middle, and so on: in a sequence of convolutions
/// each thread mostly finds in its own cache what it wrote before. Who is done takes what others have left.
pub fn for_each_with_scratch<T: Plain>(
    threads: usize,
    tasks: usize,
    len: usize,
    f: impl Fn(usize, *mut T) + Sync,
) -> Result<(), OutOfMemory> {
    let seats = threads.clamp(1, tasks.max(1));
    let queues: Vec<Queue> = (0..seats).map(|seat| Queue::of(part(tasks, seats, seat))).collect();
    let failed = Mutex::new(None);
    parallel_for_with_threads(seats, seats, |seat| {
        let run = |scratch: *mut T| {
            for offset in 0..seats {
                let queue = &queues[(seat + offset) % seats];
                while let Some(task) = queue.take() {
                    f(task, scratch);
                }
            }
        };
        if let Err(error) = with_scratch(len, run) {
            *failed.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(error);
        }
    });
    failed.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()).map_or(Ok(()), Err)
}

/// Runs `f(task)` for every task, on at most `threads` threads, as [`for_each_with_scratch`] does.
pub fn for_each(threads: usize, tasks: usize, f: impl Fn(usize) + Sync) {
    // Without scratch there is nothing to run out of.
    let _ = for_each_with_scratch::<u8>(threads, tasks, 0, |task, _| f(task));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once() {
        for (threads, tasks) in [(1, 5), (2, 0), (2, 1), (2, 7), (3, 2), (8, 100)] {
            let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
            for_each_with_scratch::<f32>(threads, tasks, 16, |task, scratch| {
                // SAFETY: the scratch has 16 elements.
                unsafe { scratch.add(15).write(1.0) };
                counts[task].fetch_add(1, Ordering::Relaxed);
            })
            .unwrap();
            assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1));
        }
    }
}
