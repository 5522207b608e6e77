//! The cache of free blocks: a list a size class, each under a lock of its own.
//!
//! To take a block and give it back costs about 45 ns (Zen 5), most of it eight atomic operations. Lists a
//! thread would halve that, but hide memory from the other threads and from the limit; a kernel call costs
//! far more.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::size_class::{self, COUNT, class_bytes};
use super::{OutOfMemory, system};
use crate::setting::{SettingError, number_from_environment};
use crate::{cgroup, fork};

/// The environment variable with the number of bytes to keep cached at most.
pub const CACHE_BYTES: &str = "NEURENIX_CPU_CACHE_BYTES";

/// Unless told otherwise, this part of the memory that the process may use is kept cached at most.
const CACHE_FRACTION: usize = 8;

/// Free blocks of one size. Each block's first bytes hold the address of the next one: no list needs memory.
pub(super) struct FreeList {
    first: Option<NonNull<Link>>,
    /// The value of `CLOCK` when a block last came or went.
    used: u64,
    /// How many requests were served.
    reused: u64,
}

struct Link {
    next: Option<NonNull<Link>>,
}

// SAFETY: the list owns the blocks it links.
unsafe impl Send for FreeList {}

impl FreeList {
    const EMPTY: Self = Self { first: None, used: 0, reused: 0 };

    /// # Safety
    /// The block is free memory of this list's size, owned by the caller.
    unsafe fn push(&mut self, address: NonNull<u8>) {
        let link: NonNull<Link> = address.cast();
        // SAFETY: every block is aligned to 64 bytes and has as many.
        unsafe { link.write(Link { next: self.first }) };
        self.first = Some(link);
    }

    fn pop(&mut self) -> Option<NonNull<u8>> {
        let link = self.first?;
        // SAFETY: `push` wrote the link, and the block has been ours since.
        self.first = unsafe { link.read() }.next;
        Some(link.cast())
    }
}

static LISTS: [Mutex<FreeList>; COUNT] = [const { Mutex::new(FreeList::EMPTY) }; COUNT];
/// Counts what the system was asked for: the time in which lists age.
static CLOCK: AtomicU64 = AtomicU64::new(0);
static IN_USE: AtomicUsize = AtomicUsize::new(0);
static CACHED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// The limits, or `UNKNOWN` until they are first needed.
static LIMIT: AtomicUsize = AtomicUsize::new(UNKNOWN);
static ALLOWED: AtomicUsize = AtomicUsize::new(UNKNOWN);
static SWAP: AtomicUsize = AtomicUsize::new(UNKNOWN);
const UNKNOWN: usize = usize::MAX;
const MOST: usize = isize::MAX as usize;

pub(super) fn lock(class: usize) -> MutexGuard<'static, FreeList> {
    LISTS[class].lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the memory cache holds and has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Bytes in blocks that live, rounded up to their sizes.
    pub in_use: usize,
    /// Bytes kept for reuse.
    pub cached: usize,
    /// The most bytes that were in use at a time.
    pub peak: usize,
    /// Blocks handed out.
    pub allocations: u64,
    /// Those of them that came from the system.
    pub system_allocations: u64,
}

/// What the cache holds and has done until now.
pub fn statistics() -> Statistics {
    let reused: u64 = (0..COUNT).map(|class| lock(class).reused).sum();
    let system_allocations = CLOCK.load(Ordering::Relaxed);
    Statistics {
        in_use: IN_USE.load(Ordering::Relaxed),
        cached: CACHED.load(Ordering::Relaxed),
        peak: PEAK.load(Ordering::Relaxed),
        allocations: reused + system_allocations,
        system_allocations,
    }
}

/// The memory that this process may use, in bytes: the machine's, or less if control groups say so. Without
/// swap.
pub fn memory_allowed() -> usize {
    known(&ALLOWED, || {
        let machine = cgroup::machine_memory(&cgroup::read_file).unwrap_or(MOST);
        machine.min(cgroup::memory_limit(&cgroup::read_file).unwrap_or(MOST))
    })
}

/// The machine's swap, in bytes.
fn swap() -> usize {
    known(&SWAP, || cgroup::machine_swap(&cgroup::read_file).unwrap_or(0))
}

/// The value, found out and kept when it is first asked for.
fn known(value: &AtomicUsize, find_out: impl FnOnce() -> usize) -> usize {
    match value.load(Ordering::Relaxed) {
        UNKNOWN => {
            let found = find_out().min(MOST);
            // Somebody may have set it meanwhile: that counts.
            match value.compare_exchange(UNKNOWN, found, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => found,
                Err(set) => set,
            }
        }
        known => known,
    }
}

/// The number of bytes that the environment allows to be cached, or else an eighth of [`memory_allowed`].
///
/// # Errors
/// If the environment variable's value is no number of bytes.
pub fn configured_cache_limit() -> Result<usize, SettingError> {
    Ok(number_from_environment(CACHE_BYTES, 0, MOST)?.unwrap_or_else(|| memory_allowed() / CACHE_FRACTION))
}

/// The most bytes that are kept for reuse.
///
/// Set by [`set_cache_limit`], else by [`configured_cache_limit`]; a value that makes no sense is passed over
/// here.
pub fn cache_limit() -> usize {
    known(&LIMIT, || configured_cache_limit().unwrap_or_else(|_| memory_allowed() / CACHE_FRACTION))
}

/// Sets the most bytes that are kept for reuse, and releases what is beyond. 0 keeps nothing.
pub fn set_cache_limit(bytes: usize) {
    let limit = bytes.min(MOST);
    LIMIT.store(limit, Ordering::Relaxed);
    shrink_to(limit);
}

/// Returns everything that is kept for reuse to the system. Gives the bytes released.
pub fn trim() -> usize {
    (0..COUNT).map(|class| release_all(class, lock(class).first.take())).sum()
}

/// Takes a block of at least `bytes` (more than 0), with its class.
pub fn take(bytes: usize, zeroed: bool) -> Result<(NonNull<u8>, usize), OutOfMemory> {
    fork::install();
    let Some(class) = size_class::class_of(bytes) else {
        return Err(refused(bytes, CACHED.load(Ordering::Relaxed)));
    };
    let size = class_bytes(class);
    let mut list = lock(class);
    let address = match list.pop() {
        Some(address) => {
            list.used = CLOCK.load(Ordering::Relaxed);
            list.reused += 1;
            drop(list);
            CACHED.fetch_sub(size, Ordering::Relaxed);
            if zeroed {
                // SAFETY: the block has this size and is ours.
                unsafe { address.write_bytes(0, bytes) };
            }
            address
        }
        None => {
            drop(list);
            from_system(bytes, size, zeroed)?
        }
    };
    let in_use = IN_USE.fetch_add(size, Ordering::Relaxed) + size;
    if in_use > PEAK.load(Ordering::Relaxed) {
        PEAK.fetch_max(in_use, Ordering::Relaxed);
    }
    Ok((address, class))
}

#[cold]
fn from_system(bytes: usize, size: usize, zeroed: bool) -> Result<NonNull<u8>, OutOfMemory> {
    let cached = CACHED.load(Ordering::Relaxed);
    // Linux grants memory that it does not have, and kills who then touches it. Refuse what cannot be had.
    let in_use = IN_USE.load(Ordering::Relaxed);
    if in_use.saturating_add(bytes) > memory_allowed().saturating_add(swap()) {
        return Err(refused(bytes, cached));
    }
    if in_use.saturating_add(cached).saturating_add(size) > memory_allowed() {
        trim();
    }
    let address = system::allocate(size, zeroed).or_else(|| {
        trim();
        system::allocate(size, zeroed)
    });
    CLOCK.fetch_add(u64::from(address.is_some()), Ordering::Relaxed);
    address.ok_or_else(|| refused(bytes, cached))
}

fn refused(requested: usize, cached: usize) -> OutOfMemory {
    OutOfMemory { requested, in_use: IN_USE.load(Ordering::Relaxed), cached }
}

/// Returns a block to the cache, or to the system if the cache is full.
///
/// # Safety
/// The block comes from [`take`] with this class, and nobody uses it any more.
pub unsafe fn give_back(address: NonNull<u8>, class: usize) {
    let size = class_bytes(class);
    IN_USE.fetch_sub(size, Ordering::Relaxed);
    let limit = cache_limit();
    if size > limit {
        // SAFETY: the block is a whole one of the system's, and the caller gives it up.
        unsafe { system::release(address, size) };
        return;
    }
    // Counted before it is in the list, so that the count never falls below what the lists hold.
    let cached = CACHED.fetch_add(size, Ordering::Relaxed) + size;
    let mut list = lock(class);
    // SAFETY: a free block of this class, which the caller gives up.
    unsafe { list.push(address) };
    list.used = CLOCK.load(Ordering::Relaxed);
    drop(list);
    if cached > limit {
        shrink_to(limit);
    }
}

/// Releases blocks, of the sizes unused for longest first, until so many bytes at most are cached.
#[cold]
fn shrink_to(limit: usize) {
    let too_much = || CACHED.load(Ordering::Relaxed) > limit;
    while too_much() {
        let oldest = (0..COUNT)
            .filter_map(|class| {
                let list = lock(class);
                list.first.map(|_| (list.used, class))
            })
            .min();
        // No list has a block, but some are counted: other threads are about to put them there, and will
        // look.
        let Some((_, class)) = oldest else { return };
        while too_much() {
            // Not in the loop's condition, which would hold the lock while the system works.
            let Some(address) = lock(class).pop() else { break };
            CACHED.fetch_sub(class_bytes(class), Ordering::Relaxed);
            // SAFETY: the block was in the list, hence free.
            unsafe { system::release(address, class_bytes(class)) };
        }
    }
}

/// Releases a chain of blocks taken out of a list. Gives the bytes.
fn release_all(class: usize, first: Option<NonNull<Link>>) -> usize {
    let size = class_bytes(class);
    let mut chain = FreeList { first, ..FreeList::EMPTY };
    let mut bytes = 0;
    while let Some(address) = chain.pop() {
        // SAFETY: the block was in the list, hence free.
        unsafe { system::release(address, size) };
        bytes += size;
    }
    CACHED.fetch_sub(bytes, Ordering::Relaxed);
    bytes
}

#[cfg(test)]
mod tests;
