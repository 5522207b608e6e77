//! Aligned memory from a cache: blocks that are let go are kept for the next request of their size.
//!
//! Blocks start on a cache line (64 bytes); from 4 MiB up on a boundary of 2 MiB, and ask for huge pages.
//! Sizes are rounded up to one of four steps between powers of two. What is cached is limited
//! ([`set_cache_limit`]): beyond it, blocks of sizes that were used longest ago go back to the system.
//!
//! Compiled with `--cfg exact_memory`, each block is an allocation of its own and of no byte more, so that
//! AddressSanitizer and Miri see what is read or written beside it, or after its end.

mod cache;
#[cfg(all(unix, not(miri)))]
mod held_for_fork;
mod size_class;
mod system;

use std::fmt;
use std::ptr::NonNull;

pub use cache::{
    CACHE_BYTES, Statistics, cache_limit, configured_cache_limit, memory_allowed, set_cache_limit,
    statistics, trim,
};
#[cfg(all(unix, not(miri)))]
pub(crate) use held_for_fork::{lock_for_fork, unlock_after_fork};

/// What every block's address is a multiple of, in bytes.
pub const ALIGNMENT: usize = size_class::SMALLEST;

/// The system has no memory for a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfMemory {
    /// The bytes asked for.
    pub requested: usize,
    /// The bytes in blocks that live.
    pub in_use: usize,
    /// The bytes that were kept for reuse; given back to the system before the last attempt.
    pub cached: usize,
}

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "out of memory: {} bytes asked for, {} in use, {} cached and released in vain, {} allowed",
            self.requested,
            self.in_use,
            self.cached,
            memory_allowed()
        )
    }
}

impl std::error::Error for OutOfMemory {}

/// An aligned piece of memory, whose contents start undefined. Dropping it returns it to the cache.
///
/// It owns the memory but never reads nor writes it: whoever goes through [`as_ptr`](Self::as_ptr) answers
/// for initialisation and for races between threads.
pub struct Block {
    address: NonNull<u8>,
    len: usize,
    /// The size class; meaningless if `len` is 0.
    class: usize,
}

// SAFETY: a block is an address that no other block has; its methods touch nothing behind it.
unsafe impl Send for Block {}
// SAFETY: as above; a shared block gives nothing but the address.
unsafe impl Sync for Block {}

impl Block {
    /// A block of `bytes` bytes. Of 0 bytes, it has an aligned address that must not be dereferenced.
    ///
    /// # Errors
    /// If neither cache nor system has the memory, or it exceeds what the process may use.
    pub fn new(bytes: usize) -> Result<Self, OutOfMemory> {
        Self::allocate(bytes, false)
    }

    /// A block of `bytes` zeros. Cheaper than to fill a [`new`](Self::new) one if it comes from the system.
    ///
    /// # Errors
    /// As `new`.
    pub fn zeroed(bytes: usize) -> Result<Self, OutOfMemory> {
        Self::allocate(bytes, true)
    }

    fn allocate(bytes: usize, zeroed: bool) -> Result<Self, OutOfMemory> {
        if bytes == 0 {
            let address = std::ptr::without_provenance_mut(ALIGNMENT);
            return Ok(Self {
                address: NonNull::new(address).expect("the alignment is not 0"),
                len: 0,
                class: 0,
            });
        }
        if cfg!(exact_memory) {
            let refused = OutOfMemory { requested: bytes, in_use: 0, cached: 0 };
            let address = system::allocate(bytes, zeroed).ok_or(refused)?;
            return Ok(Self { address, len: bytes, class: 0 });
        }
        let (address, class) = cache::take(bytes, zeroed)?;
        Ok(Self { address, len: bytes, class })
    }

    /// The first byte.
    pub fn as_ptr(&self) -> *mut u8 {
        self.address.as_ptr()
    }

    /// The bytes asked for.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no bytes were asked for.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes that may be used: [`len`](Self::len), rounded up.
    pub fn capacity(&self) -> usize {
        if self.len == 0 || cfg!(exact_memory) { self.len } else { size_class::class_bytes(self.class) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.len != 0 {
            // SAFETY: the block came from the same place with this size or class, and nobody else has it.
            unsafe {
                if cfg!(exact_memory) {
                    system::release(self.address, self.len);
                } else {
                    cache::give_back(self.address, self.class);
                }
            }
        }
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block").field("address", &self.address).field("len", &self.len).finish()
    }
}
