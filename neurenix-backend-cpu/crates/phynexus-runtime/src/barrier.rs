//! The barrier between the steps of a region.

use std::time::Duration;

use crate::fork;
use crate::ordering::{ARRIVE, RELEASE};
use crate::sleeper::Sleeper;
use crate::spin::Spin;
use crate::sync::{AtomicU8, AtomicUsize, Ordering, Padded};

/// What unwinds a worker that waits for one that has panicked. Never seen outside the crate.
pub struct Abandoned;

const NOBODY: u8 = 0;
const RETURNED: u8 = 1;
const PANICKED: u8 = 2;

/// A barrier for a fixed number of workers, used over and over.
///
/// Arrivals are counted; the last one resets the count and flips the phase that the others poll. Those who
/// wait longer than the patience sleep. A worker that leaves the region breaks the barrier for those who
/// still wait.
pub struct Barrier {
    arrived: Padded<AtomicUsize>,
    phase: Padded<AtomicUsize>,
    left: AtomicU8,
    sleeper: Sleeper,
    count: usize,
    patience: Duration,
    /// The number of forks when the region began.
    forks: usize,
}

impl Barrier {
    /// A barrier for `count` workers, who poll for `patience` before they sleep.
    pub fn new(count: usize, patience: Duration) -> Self {
        Self {
            arrived: Padded(AtomicUsize::new(0)),
            phase: Padded(AtomicUsize::new(0)),
            left: AtomicU8::new(NOBODY),
            sleeper: Sleeper::new(),
            count,
            patience,
            forks: fork::generation(),
        }
    }

    /// Waits until all workers are here. The last one runs `last` before it lets the others go on.
    ///
    /// # Panics
    /// If a worker has left the region, so that it will never come; unwinds with [`Abandoned`] if it
    /// panicked. In the child of a fork inside the region, whose other workers are not there.
    pub fn wait_with(&self, last: impl FnOnce()) {
        if fork::generation() != self.forks {
            fork::abandon_region();
        }
        // Cannot change before we arrive.
        let phase = self.phase.load(Ordering::Relaxed);
        if self.arrived.fetch_add(1, ARRIVE) + 1 == self.count {
            last();
            self.arrived.store(0, Ordering::Relaxed);
            self.phase.store(phase.wrapping_add(1), RELEASE);
            self.sleeper.rouse();
            return;
        }
        let passed = || self.phase.load(Ordering::Acquire) != phase;
        let broken = || self.left.load(Ordering::Acquire) != NOBODY;
        let mut spin = Spin::new(self.patience);
        while !passed() && !broken() {
            if !spin.again() {
                self.sleeper.sleep_until(|| passed() || broken());
                break;
            }
        }
        // Who left had passed this barrier if it was complete, and our look at `left` makes us see that.
        if !passed() {
            self.give_up();
        }
    }

    /// Records that a worker will not come to this barrier any more.
    pub fn leave(&self, panicking: bool) {
        let how = if panicking { PANICKED } else { RETURNED };
        self.left.fetch_max(how, Ordering::Release);
        self.sleeper.rouse();
    }

    #[cold]
    fn give_up(&self) -> ! {
        if self.left.load(Ordering::Relaxed) == PANICKED {
            std::panic::resume_unwind(Box::new(Abandoned));
        }
        panic!("a worker returned from a parallel region while another waited for it at a barrier");
    }
}
