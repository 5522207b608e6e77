//! The word through which workers enter and leave a region, and through which the caller opens and closes it.

use crate::ordering::{ENTER, LEAVE, PUBLISH, QUIET};
use crate::pool::Job;
use crate::sync::{AtomicPtr, AtomicU64, Ordering};

/// The most workers a pool may have beside the caller.
pub const MAX_HELPERS: usize = (1 << FIELD_BITS) - 1;

const FIELD_BITS: u32 = 12;
/// One worker inside the region.
const INSIDE: u64 = 1;
/// One seat that a worker may still take.
const SEAT: u64 = 1 << FIELD_BITS;
const SEATS: u64 = (SEAT << FIELD_BITS) - SEAT;
/// Workers inside and seats left: zero between regions.
const OCCUPANCY: u64 = SEAT | SEATS | (SEAT - INSIDE);
const GENERATION: u64 = 1 << (2 * FIELD_BITS);
/// Set for good when the workers shall end.
const SHUTDOWN: u64 = 1 << 63;

/// A look at the gate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Glimpse(u64);

impl Glimpse {
    /// The number of the region; 2^39 regions pass until one comes again.
    pub fn generation(self) -> u64 {
        (self.0 & !SHUTDOWN) / GENERATION
    }

    /// Whether the pool ends.
    pub fn is_shutdown(self) -> bool {
        self.0 & SHUTDOWN != 0
    }
}

/// `shutdown: 1 | generation: 39 | seats: 12 | inside: 12` in one word, and the job of the open region.
///
/// A worker enters by taking a seat and counting itself inside, in one compare-and-swap, and only then
/// touches the job: the caller, who waits for an empty gate before it lets the job die, cannot miss it. Only
/// the caller writes the word while it is unoccupied.
pub struct Gate {
    word: AtomicU64,
    job: AtomicPtr<Job>,
}

impl Gate {
    /// A gate before its first region.
    pub fn new() -> Self {
        Self { word: AtomicU64::new(0), job: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// Opens the next region with so many seats. The gate must be unoccupied, and the caller the pool's
    /// owner.
    pub fn open(&self, job: *const Job, seats: usize) {
        debug_assert!(seats <= MAX_HELPERS);
        self.job.store(job.cast_mut(), Ordering::Relaxed);
        let generation = Glimpse(self.word.load(Ordering::Relaxed)).generation() + 1;
        // Keeps the shutdown bit clear when the generation wraps.
        let word = generation.wrapping_mul(GENERATION) & !SHUTDOWN;
        self.word.store(word | ((seats as u64) * SEAT), PUBLISH);
    }

    /// Ends the pool. The gate must be unoccupied, and the caller the pool's owner.
    pub fn shut_down(&self) {
        let word = self.word.load(Ordering::Relaxed);
        self.word.store(word | SHUTDOWN, PUBLISH);
    }

    /// What a worker that waits for the next region looks at.
    pub fn look(&self) -> Glimpse {
        Glimpse(self.word.load(Ordering::Relaxed))
    }

    /// Takes a seat in the region of this generation, if it still has one.
    pub fn enter(&self, generation: u64) -> Option<*const Job> {
        let mut word = self.word.load(Ordering::Relaxed);
        while Glimpse(word).generation() == generation && word & SEATS != 0 {
            match self.word.compare_exchange_weak(word, word - SEAT + INSIDE, ENTER, Ordering::Relaxed) {
                Ok(_) => {
                    let job = self.job.load(Ordering::Relaxed);
                    // What a weakened PUBLISH or ENTER leads to; the model shall fail, not crash.
                    #[cfg(loom)]
                    assert!(!job.is_null(), "entered a region without seeing its job");
                    return Some(job);
                }
                Err(now) => word = now,
            }
        }
        None
    }

    /// A worker's exit. True if the region is empty now and nobody may enter any more.
    pub fn leave(&self) -> bool {
        let before = self.word.fetch_sub(INSIDE, LEAVE);
        before & OCCUPANCY == INSIDE
    }

    /// Lets nobody enter any more.
    pub fn close(&self) {
        self.word.fetch_and(!SEATS, Ordering::Relaxed);
    }

    /// Whether nobody is inside and nobody may enter.
    pub fn is_quiet(&self) -> bool {
        self.word.load(QUIET) & OCCUPANCY == 0
    }
}
