//! Threads and memory of Neurenix's native CPU engine.
//!
//! * [`parallel_for`] and [`parallel_region`] run work on one pool of threads a process, whose size is
//!   [`threads`].
//! * [`memory::Block`] is aligned memory from a cache with a byte limit.
//! * [`scratch::with_scratch`] lends a thread memory of its own for the length of a call.
//!
//! Everything works in the child of a `fork`: the pool is rebuilt at first use, the cache stays usable.
//!
//! ```
//! use phynexus_runtime::{memory::Block, parallel_for, threads};
//!
//! # fn main() -> Result<(), phynexus_runtime::memory::OutOfMemory> {
//! let block = Block::new(1000 * size_of::<f32>())?;
//! let address = block.as_ptr().expose_provenance();
//! let parts = threads().min(1000);
//! parallel_for(parts, |part| {
//!     for index in part * 1000 / parts..(part + 1) * 1000 / parts {
//!         // SAFETY: the parts are disjoint, and inside the block.
//!         unsafe { std::ptr::with_exposed_provenance_mut::<f32>(address).add(index).write(index as f32) };
//!     }
//! });
//! # Ok(())
//! # }
//! ```
//!
//! # Checks beyond `cargo test`
//! * `RUSTFLAGS="--cfg loom" cargo test --release -p phynexus-runtime --test loom` runs the protocols of the
//!   pool (hand-off, completion, sleep, barrier) through all interleavings that a weak memory allows, within
//!   bounds. That it finds mistakes can be tried: `tests/loom.rs` says how.
//! * `MIRIFLAGS=-Zmiri-ignore-leaks cargo +nightly miri test -p phynexus-runtime` interprets everything
//!   except forks, mappings and control groups. Leaks: the pool's threads live as long as the process.
//! * `RUSTFLAGS=-Zsanitizer=thread cargo +nightly test -Zbuild-std --target x86_64-unknown-linux-gnu -p
//!   phynexus-runtime --lib --test regions` looks for races on this machine.
//! * `ASAN_OPTIONS=detect_leaks=0 RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address --cfg exact_memory" cargo test
//!   --release --target x86_64-unknown-linux-gnu -p phynexus-conv -p phynexus-gemm --lib --tests` looks for reads and
//!   writes beside operands, packed operands and scratch, each of which is an allocation of its own then.
//! * `cargo bench -p phynexus-runtime` prints what a region, a barrier and a block cost.

#[cfg(not(loom))]
mod cgroup;
#[cfg(not(loom))]
mod cpus;
mod fork;
#[cfg(not(loom))]
pub mod memory;
mod ordering;
mod placement;
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
