//! Sharing work out among threads.

use std::ops::Range;
use std::sync::Mutex;

use phynexus_runtime::{parallel_for, threads};

use crate::KernelError;

/// Work that one thread does in about 20 µs, in elements of simple arithmetic that are in the
/// cache; below it others are not worth waking.
const SERIAL: usize = 1 << 17;

/// Runs `body` on ranges that together are `0..count`; each item is worth `work` elements of simple
/// arithmetic. How it is cut depends on threads, so that items must not depend on one another.
///
/// # Errors
/// The first that a call of `body` gives.
pub(crate) fn share_out(
    count: usize,
    work: usize,
    body: impl Fn(Range<usize>) -> Result<(), KernelError> + Sync,
) -> Result<(), KernelError> {
    let total = count.saturating_mul(work.max(1));
    let parts = (4 * threads()).min(total / (SERIAL / 2)).min(count);
    if total < SERIAL || parts < 2 || threads() == 1 {
        return if count == 0 { Ok(()) } else { body(0..count) };
    }
    let failure = Mutex::new(None);
    parallel_for(parts, |part| {
        let range = part * count / parts..(part + 1) * count / parts;
        if let Err(error) = body(range) {
            failure.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get_or_insert(error);
        }
    });
    match failure.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// An address whose parts tasks on several threads share out.
#[derive(Clone, Copy)]
pub(crate) struct Address<N>(pub *mut N);

// SAFETY: who goes through it shares out the parts.
unsafe impl<N> Send for Address<N> {}
// SAFETY: as above.
unsafe impl<N> Sync for Address<N> {}

impl<N> Address<N> {
    /// The address; a method, so that closures take the whole.
    pub fn get(self) -> *mut N {
        self.0
    }
}
