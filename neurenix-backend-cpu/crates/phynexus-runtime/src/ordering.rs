//! The memory orderings that the hand-off, completion, sleep and barrier protocols rest on.
//!
//! They stand here under names so that the model tests can weaken one at a time: built with `--cfg
//! phynexus_mutation="publish"` (or another name below), at least one test in `tests/loom.rs` must fail.

use crate::sync::Ordering;

macro_rules! ordering {
    ($(#[$doc:meta])* $name:ident, $mutation:literal, $sound:ident) => {
        $(#[$doc])*
        pub const $name: Ordering =
            if cfg!(phynexus_mutation = $mutation) { Ordering::Relaxed } else { Ordering::$sound };
    };
}

ordering!(
    /// The caller's store that opens a region: a worker that enters sees the job and all that the caller
    /// wrote before.
    PUBLISH,
    "publish",
    Release
);
ordering!(
    /// A worker's entry: pairs with [`PUBLISH`].
    ENTER,
    "enter",
    Acquire
);
ordering!(
    /// A worker's exit: the caller that sees the region empty sees all that the worker wrote.
    LEAVE,
    "leave",
    Release
);
ordering!(
    /// The caller's look for an empty region: pairs with [`LEAVE`].
    QUIET,
    "quiet",
    Acquire
);
ordering!(
    /// An arrival at a barrier: releases what the worker wrote to the last one to arrive, who acquires from
    /// all.
    ARRIVE,
    "arrive",
    AcqRel
);
ordering!(
    /// The last arrival's flip of the phase: those who wait see what everybody wrote before the barrier.
    RELEASE,
    "release",
    Release
);

/// Whether a sleeper orders "I sleep" before its last look at the condition.
pub const SLEEP_FENCE: bool = !cfg!(phynexus_mutation = "sleep");

/// Whether a waker orders its change of the condition before its look for sleepers.
pub const ROUSE_FENCE: bool = !cfg!(phynexus_mutation = "rouse");
