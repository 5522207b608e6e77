//! Threads and memory of Neurenix's native CPU engine.
//!
//! * [`parallel_for`] and [`parallel_region`] run work on one pool of threads a process, whose size is [`threads`].
//! * [`memory::Block`] is aligned memory from a cache with a byte limit.
//! * [`scratch::with_scratch`] lends a thread memory of its own for the length of a call.
//!
//! Everything works in the child of a `fork`: the pool is rebuilt at first use, the cache stays usable.

#[cfg(not(loom))]
mod cgroup;
#[cfg(not(loom))]
mod cpus;
mod fork;
#[cfg(not(loom))]
pub mod memory;
mod ordering;
#[cfg(not(loom))]
mod process;
#[cfg(not(loom))]
pub mod scratch;
#[cfg(not(loom))]
mod setting;
mod spin;
mod sync;

#[cfg(not(loom))]
mod barrier;
#[cfg(not(loom))]
mod gate;
#[cfg(not(loom))]
mod pool;
#[cfg(not(loom))]
mod region;
#[cfg(not(loom))]
mod sleeper;

// The model tests need what is otherwise private.
#[cfg(loom)]
#[allow(missing_docs)]
pub mod barrier;
#[cfg(loom)]
#[allow(missing_docs)]
pub mod gate;
#[cfg(loom)]
#[allow(missing_docs)]
pub mod pool;
#[cfg(loom)]
#[allow(missing_docs)]
pub mod region;
#[cfg(loom)]
#[allow(missing_docs)]
pub mod sleeper;

#[cfg(not(loom))]
pub use cpus::{MAX_THREADS, NUM_THREADS, configured_threads, cpus_allowed};
#[cfg(not(loom))]
pub use process::{parallel_for, parallel_for_with_threads, parallel_region, set_threads, threads};
pub use region::Worker;
#[cfg(not(loom))]
pub use setting::SettingError;
